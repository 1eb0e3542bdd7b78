"""The daemon: one per build and folder, jobs that outlive connections and even the daemon."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import stat
import struct
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from edgeflow_agent.wire import Tensor

X = Tensor("x", "float32", (2,), struct.pack("<2f", 1.0, 2.0), 0)
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command(agent: Any, work: Path) -> Iterator[Command]:
    def run(name: str, *options: str) -> subprocess.CompletedProcess[str]:
        argv = agent.argv(name, work, *options)
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    yield run
    run("stop", "--force")


@pytest.fixture
def daemon(command: Command) -> dict[str, Any]:
    told = command("daemon")
    assert told.returncode == 0, told.stderr
    started: dict[str, Any] = json.loads(told.stdout)
    return started


def kill_daemon(pid: int, run_folder: Path) -> None:
    import fcntl

    os.kill(pid, signal.SIGKILL)
    with (run_folder / "agent.pid").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # held by the daemon until it is gone


def signal_another_thread(pid: int, number: int) -> None:
    """The kernel gives a process's signal to whichever thread takes it; here to one that is not the first."""
    threads = {int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()} - {pid}
    # A thread that blocks the signal is none that the kernel would choose: an emulator has such a one of its
    # own.
    taking = [thread for thread in threads if not blocks(thread, number)]
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.tgkill(pid, min(taking), number) == 0, os.strerror(ctypes.get_errno())


def blocks(thread: int, number: int) -> bool:
    """Whether the thread's signal mask holds back signal `number`: SigBlk of proc(5)."""
    status = Path(f"/proc/{thread}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigBlk:"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def test_without_a_daemon_status_attach_and_stop_exit_3(command: Command) -> None:
    for name in ("status", "attach", "stop"):
        told = command(name)
        assert told.returncode == 3
        assert told.stdout == "" and "no daemon listens" in told.stderr and told.stderr.count("\n") == 1


def test_start_status_stop(command: Command, daemon: dict[str, Any], work: Path, agent: Any) -> None:
    assert daemon["started"] and daemon["build"] == agent.build
    again = json.loads(command("daemon").stdout)
    assert again == {"pid": daemon["pid"], "build": agent.build, "started": False}
    status = json.loads(command("status").stdout)
    assert status["pid"] == daemon["pid"] and status["carrier"] == "daemon"
    folder = work / "run" / agent.build
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert json.loads(command("stop").stdout) == {"stopped": daemon["pid"]}
    assert command("status").returncode == 3
    assert not (folder / "agent.sock").exists()


def test_the_work_folder_may_come_after_the_commands_options(
    daemon: dict[str, Any], work: Path, agent: Any
) -> None:
    """As the usage line shows `stop [--force]`."""
    program = agent.argv("stop", work)[:-3]

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*program, *words], capture_output=True, text=True, timeout=60, check=False)

    for wrong in (
        ["stop", "--force"], ["stop", "--force", "--work"], ["--work", str(work), "stop"],
        ["stop", "--forced", "--work", str(work)], ["status", "--force", "--work", str(work)],
        ["stop", "--work", str(work), "--work", str(work)],
    ):  # fmt: skip
        refused = run(*wrong)
        assert refused.returncode == 2 and refused.stdout == "" and "usage:" in refused.stderr, wrong
    assert json.loads(run("stop", "--force", "--work", str(work)).stdout) == {"stopped": daemon["pid"]}
    pruned = run("prune", "--max-bytes", "1000000000000", "--work", str(work))
    assert json.loads(pruned.stdout)["removed"] == [], pruned.stderr


def test_many_starts_at_once_give_one_daemon(command: Command) -> None:
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda _: command("daemon"), range(4)))
    assert [t.returncode for t in told] == [0] * 4, [t.stderr for t in told]
    assert len({json.loads(t.stdout)["pid"] for t in told}) == 1
    assert sum(json.loads(t.stdout)["started"] for t in told) == 1


def test_a_lost_host_comes_back_for_its_result(daemon: dict[str, Any], connect: Callable[..., Any]) -> None:
    lost = connect("attach")
    job = lost.start("infer", [X], options={"delay_ns": 200_000_000})
    lost.process.kill()
    lost.process.wait(20)
    back = connect("attach")
    assert back.call("job.wait", job=job)["runtime"]["name"] == "null"
    assert bytes(back.tensors()[0].data) == X.data
    back.call("job.ack", job=job)
    assert back.call("job.list") == {"jobs": []}


def test_the_same_token_supersedes_and_another_is_busy(
    daemon: dict[str, Any], connect: Callable[..., Any], said: Any
) -> None:
    first = connect("attach", host="alice")
    job = first.start("infer", [X], options={"crash": "hang"})
    stranger = connect("attach", token=None)
    assert stranger.greeting["busy"]["by"] == "alice"
    with pytest.raises(said) as error:
        stranger.call("attach", token="other", host="bob")
    assert error.value.code == "busy" and error.value.detail["by"] == "alice"
    second = connect("attach", token=None)
    assert second.call("attach", token="token", host="alice") == {"superseded": True}
    with pytest.raises(said, match="another session of alice took the device over"):
        first.receive()
    with pytest.raises(EOFError):
        first.receive()
    assert second.call("job.cancel", job=job) == {"state": "cancelled"}
    second.hang_up()


def test_jobs_belong_to_their_token(daemon: dict[str, Any], connect: Callable[..., Any], said: Any) -> None:
    mine = connect("attach")
    job = mine.start("infer", [X])
    mine.call("job.wait", job=job)
    mine.call("ping")
    mine.hang_up()
    theirs = connect("attach", token=None)
    while True:  # the daemon sees the first host go a moment after its bridge has ended
        try:
            theirs.call("attach", token="theirs", host="bob")
            break
        except said as error:
            assert error.code == "busy"
    assert theirs.call("job.list") == {"jobs": []}
    with pytest.raises(said) as error:
        theirs.call("job.wait", job=job)
    assert error.value.code == "no_job"


def test_results_survive_the_daemon_and_a_cut_job_is_reported(
    command: Command,
    daemon: dict[str, Any],
    connect: Callable[..., Any],
    said: Any,
    work: Path,
    agent: Any,
) -> None:
    client = connect("attach")
    done = client.start("infer", [X])
    client.call("job.wait", job=done)
    cut = client.start("infer", [X], options={"crash": "hang"})
    client.send("job.wait", job=cut)
    client.until_phase("first")
    kill_daemon(daemon["pid"], work / "run" / agent.build)
    assert command("status").returncode == 3  # its socket is still there
    assert json.loads(command("daemon").stdout)["started"]
    back = connect("attach")
    assert back.call("job.wait", job=done)["runtime"]["name"] == "null"
    with pytest.raises(said) as error:
        back.call("job.wait", job=cut)
    assert "died while job" in error.value.message
    back.job("infer", [X])  # the device is free: the cut job's worker went with its daemon


def test_a_busy_daemon_ends_only_by_force(
    command: Command, daemon: dict[str, Any], connect: Callable[..., Any]
) -> None:
    connect("attach", host="alice").start("infer", [X], options={"crash": "hang"})
    refused = command("stop")
    assert refused.returncode == 1 and "alice" in refused.stderr
    assert command("stop", "--force").returncode == 0


@pytest.mark.parametrize("thread", ["any", "not the main one"])
def test_a_terminated_daemon_cleans_up(
    command: Command,
    daemon: dict[str, Any],
    connect: Callable[..., Any],
    work: Path,
    agent: Any,
    thread: str,
) -> None:
    client = connect("attach")
    client.start("infer", [X], options={"crash": "hang"})
    if thread == "any":
        os.kill(daemon["pid"], signal.SIGTERM)
    else:
        signal_another_thread(daemon["pid"], signal.SIGTERM)
    with pytest.raises(EOFError):
        client.receive()
    while client.process.poll() is None:
        client.process.wait(20)
    assert command("daemon").returncode == 0
    assert "daemon ends" in (work / "run" / agent.build / "agent.log").read_text()


def test_logs_tell_what_ran(daemon: dict[str, Any], connect: Callable[..., Any]) -> None:
    client = connect("attach", host="alice")
    job = client.start("infer", [X])
    client.call("job.wait", job=job)
    lines = client.call("logs", lines=50)["lines"]
    assert any(job in line and "alice" in line for line in lines)
    assert len(client.call("logs", lines=1)["lines"]) == 1


def test_relative_paths_hold_after_the_daemon_changed_its_folder(
    agent: Any, work: Path, command: Command, connect: Callable[..., Any]
) -> None:
    work.mkdir()
    argv = [*agent.runner, os.path.relpath(agent.path, work), "daemon", "--work", "."]
    subprocess.run(argv, cwd=work, capture_output=True, timeout=60, check=True)
    client = connect("attach")
    assert client.job("infer", [X])["runtime"]["name"] == "null"
    assert json.loads(command("status").stdout)["carrier"] == "daemon"
