"""Tools that are fetched once: two at once, one killed in the middle, a full disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edgeflow_converters import packages
from edgeflow_converters.errors import CacheUnwritable
from edgeflow_converters.packages import PackageSet, fill_once

KILLED = """
import os, signal, sys
from pathlib import Path
from edgeflow_converters.packages import fill_once
def fill(folder):
    (folder / "half").write_bytes(bytes(1000))
    os.kill(os.getpid(), signal.SIGKILL)
tools = Path(sys.argv[1])
fill_once(tools / "demo-1", tools / "demo-1" / "whole", fill, print)
"""


def quietly(phase: str) -> None:
    """A progress function for tests that do not look at it."""


def whole(folder: Path) -> None:
    (folder / "whole").touch()


def test_what_a_killed_fetch_left_is_removed_by_the_next(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", KILLED, str(tmp_path)]
    assert subprocess.run(argv, env=environment, check=False).returncode == -signal.SIGKILL
    assert list(tmp_path.glob("demo-1.*")) and not (tmp_path / "demo-1").exists()
    fill_once(tmp_path / "demo-1", tmp_path / "demo-1" / "whole", whole, quietly)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".demo-1.lock", "demo-1"]
    assert [path.name for path in (tmp_path / "demo-1").iterdir()] == ["whole"]


def test_of_two_at_once_one_fetches_and_the_other_waits(tmp_path: Path) -> None:
    told = threading.Event()
    filled = []

    def fill(folder: Path) -> None:
        filled.append(folder)
        assert told.wait(timeout=60)  # until the other one says that it waits
        whole(folder)

    def ensure() -> None:
        fill_once(tmp_path / "demo-1", tmp_path / "demo-1" / "whole", fill, lambda phase: told.set())

    threads = [threading.Thread(target=ensure) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(filled) == 1 and (tmp_path / "demo-1" / "whole").exists()


def test_a_disk_that_fills_up_while_fetching_is_no_missing_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = PackageSet("demo", "1", "demo/__init__.py", 1, 1)
    pip = tmp_path / "pip"
    words = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
    pip.write_text(f"#!/bin/sh\necho '{words}'\nexit 1\n")
    pip.chmod(0o755)
    monkeypatch.setattr(packages.PackageSet, "fetch_command", lambda self, folder: [str(pip)])
    with pytest.raises(CacheUnwritable, match="no space left in the tools folder") as caught:
        demo.ensure(tmp_path / "tools", quietly)
    assert str(tmp_path / "tools") in caught.value.message and "EDGEFLOW_HOME" in caught.value.hint
    assert [path.name for path in (tmp_path / "tools").iterdir()] == [".demo-1.lock"]
