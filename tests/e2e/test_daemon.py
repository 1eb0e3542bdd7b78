"""The agent as a daemon on this machine: start, use, survive, stop."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import environment, run_edgeflow
from processes import children_of

MODEL = "zoo:pplcnet-orientation"


@pytest.fixture
def daemon_home(home: Path, tmp_path: Path) -> Iterator[Path]:
    """A home whose local daemon runs, and is gone afterwards whatever happened."""
    started = run_edgeflow(home, tmp_path, "agent", "start", "--device", "local", "--json")
    assert started.code == 0, started.err
    try:
        yield home
    finally:
        run_edgeflow(home, tmp_path, "agent", "stop", "--device", "local", "--force")
        status = run_edgeflow(home, tmp_path, "agent", "status", "--json")
        assert not status.document["running"], status.out


@pytest.mark.network
def test_deploy_uses_the_daemon_and_leaves_it_running(daemon_home: Path, tmp_path: Path) -> None:
    before = run_edgeflow(daemon_home, tmp_path, "agent", "status", "--json").document
    done = run_edgeflow(
        daemon_home, tmp_path, "deploy", MODEL, "-r", "onnxruntime", "--budget-s", "0.3", "--json"
    )
    assert done.code == 0, done.err
    assert done.document["agent"]["carrier"] == "daemon"
    after = run_edgeflow(daemon_home, tmp_path, "agent", "status", "--json").document
    assert after["running"]
    assert after["pid"] == before["pid"]
    assert after["busy"] is None
    logs = run_edgeflow(daemon_home, tmp_path, "agent", "logs", "-n", "100").out
    assert "bench on onnxruntime" in logs


def test_starting_twice_keeps_the_first(daemon_home: Path, tmp_path: Path) -> None:
    before = run_edgeflow(daemon_home, tmp_path, "agent", "status", "--json").document
    again = run_edgeflow(daemon_home, tmp_path, "agent", "start", "--json").document
    assert again["already"]
    assert again["pid"] == before["pid"]


def test_without_a_daemon(home: Path, tmp_path: Path) -> None:
    assert not run_edgeflow(home, tmp_path, "agent", "status", "--json").document["running"]
    logs = run_edgeflow(home, tmp_path, "agent", "logs")
    assert logs.code == 2
    assert "agent start" in logs.err


def test_a_dead_daemon_is_not_missed(daemon_home: Path, tmp_path: Path) -> None:
    pid = run_edgeflow(daemon_home, tmp_path, "agent", "status", "--json").document["pid"]
    os.kill(pid, signal.SIGKILL)
    done = run_edgeflow(daemon_home, tmp_path, "doctor")
    assert done.code in (0, 6)
    started = run_edgeflow(daemon_home, tmp_path, "agent", "start", "--json")
    assert started.code == 0, started.err
    assert started.document["pid"] != pid


@pytest.mark.network
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the worker through /proc")
def test_a_killed_worker_is_an_error_and_the_daemon_serves_on(daemon_home: Path, tmp_path: Path) -> None:
    pid = run_edgeflow(daemon_home, tmp_path, "agent", "status", "--json").document["pid"]
    with subprocess.Popen(
        [sys.executable, "-m", "edgeflow.cli.main", "deploy", MODEL, "-r", "ncnn", "--mode", "sustained"],
        cwd=tmp_path,
        env=environment(daemon_home, PYTHONUNBUFFERED="1"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            await_log(daemon_home, "bench on ncnn")
            err = kill_workers(process, pid)
        finally:
            process.kill()
    assert process.returncode == 7, err
    assert "SIGKILL" in err or "signal 9" in err, err
    status = run_edgeflow(daemon_home, tmp_path, "agent", "status", "--json").document
    assert status["pid"] == pid
    done = run_edgeflow(daemon_home, tmp_path, "deploy", MODEL, "-r", "ncnn", "--budget-s", "0.3", "--json")
    assert done.code == 0, done.err


def await_log(home: Path, words: str) -> None:
    """Returns once the local daemon's log says `words`."""
    (log,) = home.glob("device/run/*/agent.log")
    while words not in log.read_text():
        select.select([], [], [], 0.01)


def kill_workers(process: subprocess.Popen[str], pid: int) -> str:
    """Kills the daemon's worker until the deploy ends, and gives what that said.

    A worker that dies before it has begun its job is replaced, once.
    """
    for _ in range(5):
        os.kill(worker_of(pid), signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=4)[1]
    pytest.fail("the deploy went on without its worker")


def worker_of(pid: int) -> int:
    """The process id of the daemon's worker, as soon as there is one."""
    while not (found := children_of(pid)):
        select.select([], [], [], 0.01)  # nothing tells when a process is forked
    return min(found)
