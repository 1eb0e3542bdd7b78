"""Cables pulled and servers killed in the middle of real work: nothing hangs, nothing is lost."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgeflow.agentlink import jobs
from edgeflow.agentlink.provision import InstalledAgent, install_agent
from edgeflow.agentlink.reattach import Reattaching
from edgeflow.devices.device import open_device
from edgeflow.devices.transports.adb import AdbTransport
from edgeflow.devices.transports.adb_link import LinkLost as AdbLinkLost
from edgeflow.devices.transports.ssh import SshTransport
from edgeflow.devices.transports.ssh_link import LinkLost as SshLinkLost
from edgeflow.errors import DeviceError
from edgeflow.lab.network import set_link
from edgeflow.workspace import Workspace

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = pytest.mark.lab

BOARD = "lab-arm64"
WORK = PurePosixPath("/data/local/tmp/edgeflow")
X = jobs.wire_tensor("x", np.arange(4, dtype=np.float32), 0)
# Shorter than a pulled cable takes to be noticed: the job ends while nobody is connected to it.
BENCH = {
    "kind": "bench", "backend": "null", "files": {}, "options": {"delay_ns": 5_000_000}, "threads": 1,
    "affinity": None, "accelerator": "cpu", "limits": {"timeout_ms": 60_000, "memory_bytes": None},
    "plan": {
        "warmup_min_runs": 1, "warmup_min_ns": 1, "min_samples": 5, "min_ns": 2_000_000_000,
        "max_samples": 1000, "budget_ns": 3_000_000_000, "ci_target": None, "sample_period_ms": 100,
    },
}  # fmt: skip


class Notes:
    """A Progress that remembers what was told, and may act on it."""

    def __init__(self, on_note: Callable[[], None] = lambda: None) -> None:
        self.notes: list[str] = []
        self.on_note = on_note

    def step(self, text: str) -> None:
        del text

    def update(self, done: float, total: float | None) -> None:
        del done, total

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.on_note()


@pytest.fixture
def plug(lab: Lab) -> Iterator[Callable[[bool], None]]:
    """Pulls the board's cable (False) or plugs it in; it is in afterwards."""

    def set_board(up: bool) -> None:
        set_link(lab.guest(BOARD), up=up)

    yield set_board
    set_board(True)


@pytest.fixture
def agent(lab: Lab, plug: Callable[[bool], None], tmp_path: Path) -> Iterator[InstalledAgent]:
    with open_device(lab.spec(BOARD), lab.home) as device:
        installed, _ = install_agent(device, Workspace(lab.home, tmp_path))
        yield installed
        plug(True)
        installed.transport.run(installed.argv("stop", "--force"), timeout_s=30)


@pytest.fixture
def daemon(agent: InstalledAgent) -> InstalledAgent:
    agent.transport.run(agent.argv("daemon"), timeout_s=60).require_success("daemon")
    return agent


def once_running(action: Callable[[], None]) -> Callable[[str, float, float | None], None]:
    acted: list[str] = []

    def listen(phase: str, done: float, total: float | None) -> None:
        if phase == "run" and not acted:
            acted.append(phase)
            action()

    return listen


class TestBenchOverSsh:
    def test_with_a_daemon_the_same_job_is_collected_once_the_cable_is_back(
        self, lab: Lab, daemon: InstalledAgent, plug: Callable[[bool], None]
    ) -> None:
        told = Notes(on_note=lambda: plug(True))
        with Reattaching(daemon, lab.home, told) as session:
            job = session.call("job.start", BENCH, [X]).result["job"]
            reply = session.call(
                "job.wait", {"job": job}, timeout_s=60, on_progress=once_running(lambda: plug(False))
            )
            assert [one["job"] for one in session.call("job.list").result["jobs"]] == [job]
            session.call("job.ack", {"job": job})
            assert session.call("job.list").result == {"jobs": []}
        series = {tensor.name: jobs.array_of(tensor) for tensor in reply.tensors}
        assert series["samples_ns"].size >= 5
        assert np.all(np.diff(series["starts_ns"]) > 0)  # one measurement, not two stuck together
        assert "the link was lost" in told.notes[0]
        assert "connected again" in told.notes[-1]

    def test_one_shot_is_one_clear_line_and_exit_code_3(
        self, lab: Lab, agent: InstalledAgent, plug: Callable[[bool], None]
    ) -> None:
        with (
            pytest.raises(DeviceError, match=r"^lab-arm64: .*: no route to it; the job is lost$") as lost,
            Reattaching(agent, lab.home, Notes()) as session,
        ):
            job = session.call("job.start", BENCH, [X]).result["job"]
            session.call(
                "job.wait", {"job": job}, timeout_s=60, on_progress=once_running(lambda: plug(False))
            )
        assert lost.value.exit_code == 3
        assert "network" in lost.value.hint
        assert "then edgeflow agent start --device lab-arm64: a daemon keeps the job" in lost.value.hint


class TestPush:
    def test_a_cable_pulled_in_a_push_over_ssh_costs_only_what_is_missing(
        self, lab: Lab, plug: Callable[[bool], None], tmp_path: Path
    ) -> None:
        source, target = tmp_path / "model", PurePosixPath("/home/edge/faults/model")
        source.write_bytes(os.urandom(24 << 20))
        steps: list[int] = []

        def pull(done: int, total: int) -> None:
            if done > total // 2:
                plug(False)

        transport = SshTransport(lab.spec(BOARD))
        try:
            with pytest.raises(SshLinkLost, match="lab-arm64: the link was lost while") as lost:
                transport.push(source, target, progress=pull)
            assert lost.value.hint
            plug(True)
            assert transport.file_size(target) is None
            transport.push(source, target, progress=lambda done, total: steps.append(done))
            assert steps[0] > 4 << 20  # it went on where it was, not at the beginning
            transport.pull(target, tmp_path / "back")
            assert (tmp_path / "back").read_bytes() == source.read_bytes()
            left = transport.run(["ls", "-A", str(target.parent)], timeout_s=20).text.split()
            assert left == ["model"]
        finally:
            plug(True)
            transport.run(["rm", "-rf", str(target.parent)], timeout_s=20)
            transport.close()

    def test_the_adb_server_is_killed_in_a_push_and_in_a_command(
        self, lab: Lab, phone: AdbTransport, tmp_path: Path
    ) -> None:
        source = tmp_path / "model"
        source.write_bytes(os.urandom(48 << 20))
        phone.push(source, WORK / "model")
        killed: list[int] = []

        def kill(done: int, total: int) -> None:
            if not killed:
                killed.append(done)
                lab.adb("kill-server")

        source.write_bytes(os.urandom(64 << 20))
        with pytest.raises(AdbLinkLost, match="the adb server was stopped while model was pushed") as lost:
            phone.push(source, WORK / "model", progress=kill)
        assert "run it again" in lost.value.hint
        assert phone.file_size(WORK / "model") == 48 << 20  # the old one, whole
        phone.push(source, WORK / "model")
        assert phone.file_size(WORK / "model") == 64 << 20
        assert phone.run(["ls", "-A", str(WORK)], timeout_s=20).text.split() == ["model"]

    def test_two_hosts_push_the_same_file_to_one_phone(
        self, lab: Lab, phone: AdbTransport, tmp_path: Path
    ) -> None:
        """Each has a temporary name of its own; whoever is last wins, whole."""
        first, second = tmp_path / "first", tmp_path / "second"
        first.write_bytes(os.urandom(4 << 20))
        second.write_bytes(os.urandom(2 << 20))
        other = AdbTransport("lab-pixel7", address=lab.spec("lab-pixel7").address)
        pushed: list[int] = []

        def meanwhile(done: int, total: int) -> None:
            if not pushed:
                pushed.append(done)
                other.push(second, WORK / "model")

        phone.push(first, WORK / "model", progress=meanwhile)
        other.close()
        phone.pull(WORK / "model", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == first.read_bytes()
        assert phone.run(["ls", "-A", str(WORK)], timeout_s=20).text.split() == ["model"]
