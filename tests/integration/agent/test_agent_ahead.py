"""Workers started ahead: taken by the job they were meant for, never in anybody's way."""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeflow_agent.wire import Tensor
from processes import children_of

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes through /proc")

X = Tensor("x", "float32", (2,), struct.pack("<2f", 1.0, 2.0))
BENCH = {
    "warmup_min_runs": 1, "warmup_min_ns": 0, "min_samples": 3, "min_ns": 0, "max_samples": 5,
    "budget_ns": 10**9, "ci_target": None, "sample_period_ms": 20,
}  # fmt: skip


def children(client: Any) -> set[int]:
    """The core's worker processes now."""
    return children_of(client.process.pid)


def one_child(client: Any) -> int:
    """The only worker, as soon as it is there and alone."""
    while True:
        found = children(client)
        if len(found) == 1:
            return found.pop()


def gone(pid: int) -> None:
    """Waits for the end of a process that is not ours: the descriptor is readable then (pidfd_open(2))."""
    import select

    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], 20)[0], f"process {pid} lives on"
    finally:
        os.close(descriptor)


def pid_of_next(client: Any, said: Any, **params: Any) -> int:
    """The process that serves the next job: the job aborts, and the error names it."""
    with pytest.raises(said) as error:
        client.job("infer", [X], options={"crash": "abort"}, **params)
    assert error.value.code == "worker_crashed"
    pid: int = error.value.detail["pid"]
    return pid


def test_the_next_job_takes_the_worker_that_waits(connect: Callable[..., Any], said: Any) -> None:
    client = connect()
    client.job("infer", [X])
    waiting = one_child(client)
    assert pid_of_next(client, said) == waiting


def test_a_prepared_worker_is_taken_and_measured_like_any_other(
    connect: Callable[..., Any], agent: Any
) -> None:
    client = connect()
    client.call("job.prepare", backend="null", threads=1)
    waiting = one_child(client)
    client.send("job.wait", job=client.start("memory", [X], plan={"runs": 1}, options={"delay_ns": 10**8}))
    client.until_phase("first")
    assert waiting in children(client)
    result = client.receive()
    assert result["peak_rss_bytes"] >= (result["interpreter_bytes"] or 0)
    assert (agent.kind == "native") == (result["interpreter_bytes"] is None)
    assert set(result["phases_ns"]) >= {"import", "load", "first", "run"}


def test_a_job_of_another_setting_gets_its_own(connect: Callable[..., Any], said: Any) -> None:
    client = connect()
    client.job("infer", [X])
    waiting = one_child(client)
    assert pid_of_next(client, said, threads=2) != waiting
    gone(waiting)


def test_a_waiting_worker_that_died_is_nobodys_fault(connect: Callable[..., Any]) -> None:
    client = connect()
    client.job("infer", [X])
    waiting = one_child(client)
    os.kill(waiting, signal.SIGKILL)
    client.job("infer", [X])
    assert client.tensors()[0].data == X.data


def test_a_worker_that_dies_as_it_is_taken_is_nobodys_fault(connect: Callable[..., Any], work: Path) -> None:
    client = connect()
    client.job("infer", [X])
    waiting = one_child(client)
    while b"--ahead" not in Path(f"/proc/{waiting}/cmdline").read_bytes():
        pass  # forked, and not yet the program that it is to be
    os.kill(waiting, signal.SIGSTOP)  # it can be given the job, and never say a word of it
    (waiting_log,) = (work / "jobs").glob("ahead-*.log")
    told = waiting_log.stat().st_ino
    job = client.start("infer", [X])
    while (work / "jobs" / job / "worker.log").stat().st_ino != told:
        pass  # it is about to be taken
    os.kill(waiting, signal.SIGKILL)
    client.call("job.wait", job=job)
    assert client.tensors()[0].data == X.data


def test_nothing_is_started_beside_a_bench(connect: Callable[..., Any]) -> None:
    client = connect()
    client.job("infer", [X])
    waiting = one_child(client)
    client.send("job.wait", job=client.start("bench", [X], plan=BENCH, options={"delay_ns": 10**8}))
    client.until_phase("run")
    assert children(client) == {waiting}
    assert len(client.receive()["phases_ns"]) > 0
    assert children(client) == set()


@pytest.mark.parametrize("how", ["hang up", "SIGTERM", "SIGKILL"])
def test_a_waiting_worker_ends_with_its_core(connect: Callable[..., Any], work: Path, how: str) -> None:
    client = connect()
    client.job("infer", [X])
    waiting = one_child(client)
    if how == "hang up":
        client.hang_up()
    else:
        client.process.send_signal(signal.Signals[how])
        client.process.wait(20)
    gone(waiting)
    connect().hang_up()
    assert list((work / "jobs").iterdir()) == []


@pytest.mark.parametrize(
    "params", [{"backend": "nope"}, {"backend": "null", "threads": 0}, {"kind": "infer"}]
)
def test_a_bad_hint_is_an_error(connect: Callable[..., Any], said: Any, params: dict[str, Any]) -> None:
    with pytest.raises(said) as error:
        connect().call("job.prepare", **params)
    assert error.value.code in ("backend_missing", "bad_request")
