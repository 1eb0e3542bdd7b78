"""A real SSH link that is cut in the middle: what a daemon saves, and what a one-shot agent loses."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow.agentlink import jobs
from edgeflow.agentlink.provision import InstalledAgent, attach_daemon, install_agent
from edgeflow.agentlink.reattach import Reattaching
from edgeflow.config.devices import DeviceSpec
from edgeflow.devices.device import Device, open_device
from edgeflow.errors import DeviceError
from edgeflow.workspace import Workspace
from sshd import MISSING, SSHD, Relay, Sshd, running_sshd

pytestmark = pytest.mark.skipif(SSHD is None, reason=MISSING)

X = jobs.wire_tensor("x", np.arange(4, dtype=np.float32), 0)
PLAN = {
    "warmup_min_runs": 1, "warmup_min_ns": 1, "min_samples": 5, "min_ns": 600_000_000, "max_samples": 1000,
    "budget_ns": 900_000_000, "ci_target": None, "sample_period_ms": 100,
}  # fmt: skip
BENCH = {
    "kind": "bench", "backend": "null", "files": {}, "options": {"delay_ns": 5_000_000}, "threads": 1,
    "affinity": None, "accelerator": "cpu", "limits": {"timeout_ms": 60_000, "memory_bytes": None},
    "plan": PLAN,
}  # fmt: skip


class Notes:
    """A Progress that remembers what was told, and may act on it."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.on_note: Callable[[], None] = lambda: None

    def step(self, text: str) -> None:
        del text

    def update(self, done: float, total: float | None) -> None:
        del done, total

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.on_note()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def relay(server: Sshd) -> Iterator[Relay]:
    running = Relay(server.port)
    yield running
    running.stop()


@pytest.fixture
def spec(server: Sshd, relay: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DeviceSpec:
    monkeypatch.setenv("HOME", str(server.home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (server.ssh_dir / "known_hosts").write_text(f"[127.0.0.1]:{relay.port} {server.host_key()}\n")
    entry = server.entry(port=relay.port, python=sys.executable, work_dir=str(tmp_path / "work"))
    return DeviceSpec.model_validate({"name": "pi", **entry})


@pytest.fixture
def device(spec: DeviceSpec, tmp_path: Path) -> Iterator[Device]:
    with open_device(spec, tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def agent(device: Device, tmp_path: Path) -> Iterator[InstalledAgent]:
    installed, _ = install_agent(device, Workspace(tmp_path / "home", tmp_path))
    yield installed
    installed.transport.run(installed.argv("stop", "--force"), timeout_s=30)


@pytest.fixture
def daemon(agent: InstalledAgent) -> InstalledAgent:
    started = agent.transport.run(agent.argv("daemon"), timeout_s=30)
    assert started.exit_code == 0, started.stderr
    return agent


def once_running(action: Callable[[], None]) -> Callable[[str, float, float | None], None]:
    acted: list[str] = []

    def listen(phase: str, done: float, total: float | None) -> None:
        if phase == "run" and not acted:
            acted.append(phase)
            action()

    return listen


def bench(session: Reattaching, action: Callable[[], None]) -> Any:
    job = session.call("job.start", BENCH, [X]).result["job"]
    reply = session.call("job.wait", {"job": job}, timeout_s=60, on_progress=once_running(action))
    session.call("job.ack", {"job": job})
    return reply


def test_the_daemon_outlives_the_login_that_started_it(
    daemon: InstalledAgent, device: Device, spec: DeviceSpec, tmp_path: Path
) -> None:
    device.close()
    with open_device(spec, tmp_path / "home") as again:
        found, _ = install_agent(again, Workspace(tmp_path / "home", tmp_path))
        session = attach_daemon(found)
        assert session is not None
        with session:
            assert session.call("ping").result == {}


def test_a_link_cut_in_a_bench_costs_nothing_with_a_daemon(
    daemon: InstalledAgent, relay: Relay, tmp_path: Path
) -> None:
    told = Notes()
    with Reattaching(daemon, tmp_path / "home", told) as session:
        reply = bench(session, relay.cut)
    samples = next(tensor for tensor in reply.tensors if tensor.name == "samples_ns")
    assert jobs.array_of(samples).size >= 5
    assert "the link was lost" in told.notes[0] and "connected again" in told.notes[-1]


def test_a_pulled_cable_is_noticed_and_waited_out(
    daemon: InstalledAgent, relay: Relay, tmp_path: Path
) -> None:
    told = Notes()

    def plug_in() -> None:
        told.on_note = lambda: None
        relay.cut()  # what was frozen is gone; new connections pass

    told.on_note = plug_in
    with Reattaching(daemon, tmp_path / "home", told) as session:
        reply = bench(session, relay.freeze)
    assert reply.result["stop"]
    assert "the link was lost" in told.notes[0]


def test_a_one_shot_job_goes_with_its_link(agent: InstalledAgent, relay: Relay, tmp_path: Path) -> None:
    with (
        pytest.raises(DeviceError, match=r"pi: .*link was lost.*lost with its connection") as caught,
        Reattaching(agent, tmp_path / "home", Notes()) as session,
    ):
        bench(session, relay.cut)
    assert caught.value.exit_code == 3
    assert "edgeflow agent start --device pi" in caught.value.hint


def test_where_the_link_stays_away_the_cure_that_keeps_jobs_is_told_too(
    device: Device, relay: Relay, tmp_path: Path
) -> None:
    agent, _ = install_agent(device, Workspace(tmp_path / "home", tmp_path))
    with (
        pytest.raises(DeviceError, match=r"pi: .*; the job is lost$") as caught,
        Reattaching(agent, tmp_path / "home", Notes()) as session,
    ):
        bench(session, relay.stop)
    assert caught.value.hint is not None
    assert caught.value.hint.endswith("then edgeflow agent start --device pi: a daemon keeps the job")
