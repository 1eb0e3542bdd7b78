"""Ctrl-C in every phase: exit 130, no process left, nothing half-written, and the next run works."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import environment, run_edgeflow

MODEL = "zoo:pplcnet-orientation"
PHASES = (
    "probe",
    "reference",
    "prepare",
    "pnnx",
    "verify pplc",
    "commit",
    "push",
    "measure memory",
    "measure pplc",
)

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds left-over processes through /proc"),
]


def processes_of(home: Path) -> dict[int, str]:
    """Processes that were started with this EDGEFLOW_HOME: pid and command line."""
    marker = f"EDGEFLOW_HOME={home}\0".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and marker in (entry / "environ").read_bytes() + b"\0":
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(entry.name)] = words
        except OSError:
            continue
    return found


def outlived_by(home: Path) -> list[str]:
    """Processes that do not end within seconds of the command that started them.

    Those that notice its end by themselves (a leashed tool, a worker) need a moment for it.
    """
    for pid in processes_of(home):
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        select.select([descriptor], [], [], 5)
        os.close(descriptor)
    return list(processes_of(home).values())


@pytest.mark.parametrize("phase", PHASES)
def test_interrupt(phase: str, home: Path, tmp_path: Path) -> None:
    pulled = run_edgeflow(home, tmp_path, "zoo", "pull", "pplcnet-orientation")
    assert pulled.code == 0, pulled.err
    with subprocess.Popen(
        [sys.executable, "-m", "edgeflow.cli.main", "deploy", MODEL, "-r", "ncnn"],
        cwd=tmp_path,
        env=environment(home, PYTHONUNBUFFERED="1"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        seen = []
        for line in process.stderr:
            seen.append(line)
            if phase in line:
                break
        else:
            pytest.fail(f"no phase {phase!r} in {seen}")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert out == ""
    assert outlived_by(home) == []
    results = run_edgeflow(home, tmp_path, "results", "list", "--json").document["results"]
    assert results == []
    again = run_edgeflow(home, tmp_path, "deploy", MODEL, "-r", "ncnn", "--budget-s", "0.3", "--json")
    assert again.code == 0, again.err
    stale = [path for path in (home / "cache").rglob("*") if path.name.endswith((".tmp", ".part"))]
    assert stale == []
    assert list((home / "cache" / "artifact").iterdir())
