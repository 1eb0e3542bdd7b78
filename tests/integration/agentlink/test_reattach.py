"""A link that drops: a daemon's job goes on and is collected; a one-shot job is lost, and told so."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow.agentlink import jobs
from edgeflow.agentlink.identity import host_identity
from edgeflow.agentlink.provision import InstalledAgent, attach_daemon, install_agent, open_session
from edgeflow.agentlink.reattach import Reattaching
from edgeflow.config.devices import load_fleet
from edgeflow.devices.device import open_device
from edgeflow.errors import AgentError, DeviceError
from edgeflow.workspace import Workspace

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the bridge through /proc")

X = jobs.wire_tensor("x", np.arange(4, dtype=np.float32), 0)


class Notes:
    """A Progress that remembers what was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def step(self, text: str) -> None:
        del text

    def update(self, done: float, total: float | None) -> None:
        del done, total

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[InstalledAgent]:
    workspace = Workspace(tmp_path / "home", tmp_path)
    with open_device(load_fleet(None, tmp_path, workspace.home).get("local"), workspace.home) as device:
        installed, _ = install_agent(device, workspace)
        yield installed
        installed.transport.run(installed.argv("stop", "--force"), timeout_s=30)


@pytest.fixture
def daemon(agent: InstalledAgent) -> InstalledAgent:
    assert agent.transport.run(agent.argv("daemon"), timeout_s=30).exit_code == 0
    return agent


def bridges(agent: InstalledAgent, command: str) -> list[int]:
    """The processes of this work folder that run a command of the agent: the device's end of a connection."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if str(agent.work_dir).encode() in words and command.encode() in words:
            found.append(int(entry.name))
    return found


def cut(agent: InstalledAgent, command: str = "attach") -> None:
    (pid,) = bridges(agent, command)
    os.kill(pid, signal.SIGKILL)


def params(kind: str = "bench", **options: Any) -> dict[str, Any]:
    plan = {
        "warmup_min_runs": 1, "warmup_min_ns": 1, "min_samples": 5, "min_ns": 600_000_000,
        "max_samples": 1000, "budget_ns": 900_000_000, "ci_target": None, "sample_period_ms": 100,
    }  # fmt: skip
    return {
        "kind": kind, "backend": "null", "files": {}, "options": options, "threads": 1, "affinity": None,
        "accelerator": "cpu", "limits": {"timeout_ms": 60_000, "memory_bytes": None},
        "plan": plan if kind == "bench" else {},
    }  # fmt: skip


def once_running(action: Callable[[], None]) -> Callable[[str, float, float | None], None]:
    """A listener that acts in the middle of the measurement, once."""
    done = threading.Event()

    def listen(phase: str, count: float, total: float | None) -> None:
        if phase == "run" and not done.is_set():
            done.set()
            action()

    return listen


def test_a_bench_survives_its_connection(daemon: InstalledAgent, tmp_path: Path) -> None:
    told = Notes()
    with Reattaching(daemon, tmp_path / "home", told) as session:
        job = session.call("job.start", params(delay_ns=5_000_000), [X]).result["job"]
        reply = session.call(
            "job.wait", {"job": job}, timeout_s=60, on_progress=once_running(lambda: cut(daemon))
        )
        series = {tensor.name: jobs.array_of(tensor) for tensor in reply.tensors}
        session.call("job.ack", {"job": job})
        assert session.call("job.list").result == {"jobs": []}
    assert series["samples_ns"].size >= 5
    assert np.all(np.diff(series["starts_ns"]) > 0)  # one measurement, not two stuck together
    assert ["attempt 1" in told.notes[0], "connected again" in told.notes[-1]] == [True, True], told.notes
    assert all(note.startswith("local: ") for note in told.notes)


def test_a_bench_that_ended_meanwhile_is_collected(daemon: InstalledAgent, tmp_path: Path) -> None:
    with Reattaching(daemon, tmp_path / "home", Notes()) as session:
        job = session.call("job.start", params("infer"), [X]).result["job"]
        while session.call("job.status", {"job": job}).result["state"] == "running":
            pass
        cut(daemon)
        reply = session.call("job.wait", {"job": job})
    assert jobs.array_of(reply.tensors[0]).tolist() == [0, 1, 2, 3]


def test_a_start_whose_answer_was_lost_is_not_started_twice(daemon: InstalledAgent, tmp_path: Path) -> None:
    told = Notes()
    opened = daemon.transport.open_channel
    channels: list[Any] = []

    def remember(argv: Any) -> Any:
        channels.append(opened(argv))
        return channels[-1]

    daemon.transport.open_channel = remember  # type: ignore[method-assign]
    with Reattaching(daemon, tmp_path / "home", told) as session:
        channel = channels[-1]
        read = channel.read

        def lose_the_answer(max_bytes: int, *, timeout_s: float) -> bytes:
            read(max_bytes, timeout_s=timeout_s)  # the daemon has answered; the link takes the answer with it
            raise DeviceError("local: the link was lost")

        channel.read = lose_the_answer
        job = session.call("job.start", params("infer", delay_ns=200_000_000), [X]).result["job"]
        listed = session.call("job.list").result["jobs"]
        assert [one["job"] for one in listed] == [job]
        assert jobs.array_of(session.call("job.wait", {"job": job}).tensors[0]).size == 4
    assert "the link was lost (job.start)" in told.notes[0]


def test_a_one_shot_job_is_lost_and_the_error_says_so(agent: InstalledAgent, tmp_path: Path) -> None:
    with (
        pytest.raises(AgentError, match="lost with its connection") as caught,
        Reattaching(agent, tmp_path / "home", Notes()) as session,
    ):
        assert session.hello.carrier == "one-shot"
        job = session.call("job.start", params(delay_ns=5_000_000), [X]).result["job"]
        session.call("job.wait", {"job": job}, on_progress=once_running(lambda: cut(agent, "core")))
    assert "edgeflow agent start" in caught.value.hint
    assert caught.value.exit_code == 7


def test_a_daemon_that_died_is_not_waited_for(daemon: InstalledAgent, tmp_path: Path) -> None:
    told = Notes()
    with (
        pytest.raises(AgentError, match="its daemon ended, and the job with it"),
        Reattaching(daemon, tmp_path / "home", told) as session,
    ):
        job = session.call("job.start", params(delay_ns=5_000_000), [X]).result["job"]
        pid = session.hello.pid
        session.call("job.wait", {"job": job}, on_progress=once_running(lambda: os.kill(pid, signal.SIGKILL)))


def test_a_device_that_does_not_come_back_ends_in_one_error(daemon: InstalledAgent, tmp_path: Path) -> None:
    told = Notes()

    def unplug() -> None:
        def gone(argv: Any) -> Any:
            raise DeviceError("local: no route to it")

        daemon.transport.open_channel = gone  # type: ignore[method-assign]
        cut(daemon)

    try:
        with (
            pytest.raises(DeviceError, match="did not come back within 1 s: no route to it"),
            Reattaching(daemon, tmp_path / "home", told, patience_s=1.0) as session,
        ):
            job = session.call("job.start", params(delay_ns=5_000_000), [X]).result["job"]
            session.call("job.wait", {"job": job}, on_progress=once_running(unplug))
    finally:
        del daemon.transport.open_channel
    assert len(told.notes) >= 2


def test_a_second_process_of_the_same_host_does_not_take_the_first_one_s_job(
    daemon: InstalledAgent, tmp_path: Path
) -> None:
    with Reattaching(daemon, tmp_path / "home", Notes()) as session:
        job = session.call("job.start", params("infer", delay_ns=100_000_000), [X]).result["job"]
        with pytest.raises(DeviceError, match=f"busy: your own edgeflow, process {os.getpid()}"):
            Reattaching(daemon, tmp_path / "home", Notes())
        assert session.call("job.wait", {"job": job}).result["runtime"]["name"] == "null"
    with Reattaching(daemon, tmp_path / "home", Notes()) as session:
        assert session.call("ping").result == {}


def test_a_session_that_another_one_took_over_does_not_fight(daemon: InstalledAgent, tmp_path: Path) -> None:
    told = Notes()
    with (
        pytest.raises(DeviceError, match="another session of"),
        Reattaching(daemon, tmp_path / "home", told) as first,
    ):
        identity = host_identity(tmp_path / "home")
        with open_session(daemon, identity) as second:
            assert second.call("ping").result == {}
            first.call("job.list")
    assert told.notes == []


def test_what_a_killed_command_left_is_cleared(daemon: InstalledAgent, tmp_path: Path) -> None:
    identity = host_identity(tmp_path / "home")
    left = attach_daemon(daemon)
    assert left is not None
    left.attach(identity.token, identity.name)
    left.call("job.start", params("infer", crash="hang"), [X])
    cut(daemon)
    left.close()
    told = Notes()
    with Reattaching(daemon, tmp_path / "home", told) as session:
        assert session.call("job.list").result == {"jobs": []}
        job = session.call("job.start", params("infer"), [X]).result["job"]
        session.call("job.wait", {"job": job})
    assert len(told.notes) == 1 and "left there" in told.notes[0]


def test_an_interrupted_command_frees_the_device(daemon: InstalledAgent, tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        Reattaching(daemon, tmp_path / "home", Notes()) as session,
    ):
        session.call("job.start", params("infer", crash="hang"), [X])
        raise KeyboardInterrupt
    other = attach_daemon(daemon)
    assert other is not None
    with other:
        while True:  # the daemon sees the first connection go a moment after it ended
            try:
                other.attach("another-token", "other@there")
                break
            except DeviceError as error:
                assert "busy" in error.message
        job = other.call("job.start", params("infer"), [X]).result["job"]
        assert other.call("job.wait", {"job": job}).result["runtime"]["name"] == "null"
