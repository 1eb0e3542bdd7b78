"""The client against real processes: the real agent, and things that are no agent."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edgeflow.agentlink import jobs, session
from edgeflow.agentlink.identity import HostIdentity, host_identity
from edgeflow.agentlink.provision import InstalledAgent, install_agent, open_session
from edgeflow.config.devices import load_fleet
from edgeflow.devices.device import open_device
from edgeflow.devices.transports.local import LocalTransport
from edgeflow.errors import AgentError, DeviceError
from edgeflow.workspace import Workspace

HOST = HostIdentity("token-one", "tester@here")


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[InstalledAgent]:
    """The real agent, provisioned on this machine into a folder of the test."""
    workspace = Workspace(tmp_path / "home", tmp_path)
    spec = load_fleet(None, tmp_path, workspace.home).get("local")
    with open_device(spec, workspace.home) as device:
        installed, first = install_agent(device, workspace)
        again, second = install_agent(device, workspace)
        assert first.pushed_bytes > 0
        assert (second.pushed_bytes, second.skipped_bytes) == (0, first.pushed_bytes)
        assert again == installed
        yield installed


def test_a_job_of_the_null_backend_comes_back_as_it_went(agent: InstalledAgent) -> None:
    opened = open_session(agent, HOST)
    with opened:
        assert opened.hello.carrier == "one-shot"
        assert opened.hello.build == agent.build
        array = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
        params = {
            "kind": "infer", "backend": "null", "files": {}, "options": {}, "threads": 1,
            "affinity": None, "accelerator": "cpu", "plan": {},
            "limits": {"timeout_ms": 20_000, "memory_bytes": None},
        }  # fmt: skip
        job = opened.call("job.start", params, [jobs.wire_tensor("x", array, 0)]).result["job"]
        reply = opened.call("job.wait", {"job": job})
        np.testing.assert_array_equal(jobs.array_of(reply.tensors[0]), array)


@pytest.mark.parametrize("crash", ["abort", "segv", "exit", "rubbish"])
def test_a_worker_that_dies_is_an_error_and_the_session_lives_on(agent: InstalledAgent, crash: str) -> None:
    opened = open_session(agent, HOST)
    with opened:
        options = {"crash": crash, "crash_phase": "load"}
        params = {
            "kind": "memory", "backend": "null", "files": {}, "options": options, "threads": 1,
            "affinity": None, "accelerator": "cpu", "plan": {"runs": 1},
            "limits": {"timeout_ms": 20_000, "memory_bytes": None},
        }  # fmt: skip
        tensor = jobs.wire_tensor("x", np.zeros(4, np.float32), 0)
        job = opened.call("job.start", params, [tensor]).result["job"]
        with pytest.raises(AgentError) as caught:
            opened.call("job.wait", {"job": job})
        assert caught.value.exit_code == 7
        assert caught.value.message.startswith("local: ")
        assert opened.call("ping").result == {}


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("print('Welcome to the board!')", "Welcome"),
        ("import sys; sys.exit('no such interpreter')", "no such interpreter"),
        ("pass", "ended"),
    ],
)
def test_what_is_no_agent_is_said_to_be_none(script: str, words: str) -> None:
    transport = LocalTransport("board7")
    try:
        channel = transport.open_channel([sys.executable, "-c", script])
        with pytest.raises(AgentError) as caught:
            session.AgentSession(channel, "board7")
        assert words in caught.value.message
        assert caught.value.message.startswith("board7: ")
    finally:
        transport.close()


def test_an_agent_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_HELLO_TIMEOUT_S", 0.2)
    transport = LocalTransport("board7")
    try:
        channel = transport.open_channel([sys.executable, "-c", "import sys; sys.stdin.read()"])
        with pytest.raises(AgentError, match="did not answer in time"):
            session.AgentSession(channel, "board7")
    finally:
        transport.close()


def test_two_hosts_cannot_use_one_device_at_once(agent: InstalledAgent) -> None:
    assert agent.transport.run(agent.argv("daemon"), timeout_s=30).exit_code == 0
    try:
        first = open_session(agent, HOST)
        with first:
            assert first.hello.carrier == "daemon"
            with pytest.raises(DeviceError, match="tester@here"):
                open_session(agent, HostIdentity("token-two", "other@there"))
    finally:
        assert agent.transport.run(agent.argv("stop", "--force"), timeout_s=30).exit_code == 0


def test_devices_that_begin_at_once_make_one_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads of one process, as in a sweep of a new home: one found no token, or an empty one."""
    both = threading.Barrier(2)

    def slowly(size: int) -> str:
        both.wait(10)
        return os.urandom(size).hex()

    monkeypatch.setattr("edgeflow.agentlink.identity.secrets.token_hex", slowly)
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(host_identity, tmp_path) for _ in range(2)]
        assert asked[0].result() == asked[1].result()
    assert [path.name for path in tmp_path.iterdir()] == ["host_token"]


def test_the_token_is_made_once_and_private(tmp_path: Path) -> None:
    first, second = host_identity(tmp_path / "new"), host_identity(tmp_path / "new")
    assert first == second
    assert (tmp_path / "new" / "host_token").stat().st_mode & 0o777 == 0o600
    assert host_identity(tmp_path / "other").token != first.token
