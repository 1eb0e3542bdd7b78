"""Shared fixtures: homes for edgeflow, and the real command line as a child process.

Packages that tests pull (zoo models, converter tools) are kept in `.cache/tests` of the checkout, so
that a second run is quick; everything else lives and dies with the test.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
KEPT = CHECKOUT / ".cache" / "tests"


def pytest_configure() -> None:
    # A shell starts background jobs with SIGINT ignored, and children inherit that: Ctrl-C tests would prove
    # nothing there. A handler of ours becomes the default again in every child.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # How fast examples are drawn says how busy the machine is, and nothing of the code.
    hypothesis.settings.register_profile(
        "edgeflow", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("edgeflow")


def make_home(folder: Path) -> Path:
    """A fresh EDGEFLOW_HOME that shares pulled packages with other tests."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("zoo", "tools"):
        (KEPT / name).mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(KEPT / name)
    return folder


@pytest.fixture(scope="session")
def warm_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for the whole session: conversions made by one test are found by the next."""
    return make_home(tmp_path_factory.mktemp("warm") / "home")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home of this test alone."""
    return make_home(tmp_path / "home")


@dataclass(frozen=True)
class Finished:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        parsed: dict[str, Any] = json.loads(self.out)
        return parsed

    @property
    def error_line(self) -> str:
        """The one line that says what failed."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        return lines[0]


Edgeflow = Callable[..., Finished]


def environment(home: Path, **extra: str) -> dict[str, str]:
    """The environment of a child: this one's, with another home and no terminal to be clever about."""
    return {**os.environ, "EDGEFLOW_HOME": str(home), "NO_COLOR": "1", **extra}


def run_edgeflow(home: Path, cwd: Path, *words: object, timeout_s: float = 180, **extra: str) -> Finished:
    """Runs the real command line to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "edgeflow.cli.main", *map(str, words)],
        cwd=cwd,
        env=environment(home, **extra),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def edgeflow(warm_home: Path, tmp_path: Path) -> Edgeflow:
    """The command line, in an empty folder, with the session's home."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    return lambda *words, **options: run_edgeflow(warm_home, options.pop("cwd", folder), *words, **options)


@pytest.fixture
def fresh_edgeflow(home: Path, tmp_path: Path) -> Edgeflow:
    """The command line, in an empty folder, with a home of this test alone."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    return lambda *words, **options: run_edgeflow(home, options.pop("cwd", folder), *words, **options)
