"""A device that lacks every runtime: this machine, with a bare Python and a work folder of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conftest import Finished, make_home, run_edgeflow


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter without any package, as a board's own is."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "bin" / "python"


@pytest.fixture(scope="session")
def wheels_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all boards: what one test fetched, the next one has."""
    return make_home(tmp_path_factory.mktemp("wheels") / "home")


@dataclass(frozen=True)
class Board:
    """The device `board`: `edgeflow(...)` is the command line that knows it."""

    work: Path
    home: Path
    folder: Path
    python: Path

    def edgeflow(self, *words: object, **options: Any) -> Finished:
        return run_edgeflow(self.home, self.folder, *words, **options)


@pytest.fixture
def board(bare_python: Path, wheels_home: Path, tmp_path: Path) -> Iterator[Board]:
    """A new board; whatever runs on it is ended afterwards."""
    work = tmp_path / "work"
    (tmp_path / "devices.yaml").write_text(
        f"devices:\n  board:\n    transport: local\n    python: {bare_python}\n    work_dir: {work}\n"
    )
    made = Board(work, wheels_home, tmp_path, bare_python)
    yield made
    done = made.edgeflow("agent", "uninstall", "-d", "board", "--force", "--json")
    assert done.code == 0, done.err
