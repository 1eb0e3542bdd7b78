"""Brings the agent and model files to a device, each by content hash, nothing twice, and opens a session."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from edgeflow.agentlink.identity import HostIdentity
from edgeflow.agentlink.jobs import files_for
from edgeflow.agentlink.session import AgentSession
from edgeflow.devices.transports.base import Channel, ProgressFn, Transport
from edgeflow.errors import AgentError, UsageError
from edgeflow.progress import Silent
from edgeflow_agent.bundle import build_agent
from edgeflow_agent.identity import build_of, sources

if TYPE_CHECKING:
    from edgeflow.agentlink.session import Calls
    from edgeflow.devices.device import Device
    from edgeflow.progress import Progress
    from edgeflow.toolchain.products import Products
    from edgeflow.workspace import Workspace
    from edgeflow_converters.base import Artifact

NO_DAEMON = 3
"""Exit code of `attach` when no daemon listens (agent/PROTOCOL.md)."""

PYTHON_NAME, NATIVE_NAME = "agent.pyz", "edgeflow-agent"
"""An agent's file in agents/<build> (agent/PROTOCOL.md)."""

_HASHING_TIMEOUT_S = 300.0  # a small board hashes some 30 MB/s
_SILENT = Silent()


@dataclass(frozen=True, slots=True)
class Transfer:
    """What a deploy moved to the device, and what was there already."""

    pushed_bytes: int = 0
    skipped_bytes: int = 0
    seconds: float = 0.0

    def __add__(self, other: Transfer) -> Transfer:
        return Transfer(
            self.pushed_bytes + other.pushed_bytes,
            self.skipped_bytes + other.skipped_bytes,
            self.seconds + other.seconds,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "pushed_bytes": self.pushed_bytes,
            "skipped_bytes": self.skipped_bytes,
            "seconds": self.seconds,
        }


@dataclass(frozen=True, slots=True)
class InstalledAgent:
    """An agent that lies on a device, ready to be started."""

    device: str
    transport: Transport
    kind: Literal["python", "native"]
    program: tuple[str, ...]
    work_dir: PurePosixPath
    build: str

    def argv(self, command: str, *arguments: str) -> list[str]:
        """The command line of one of the agent's commands on the device."""
        return [*self.program, command, "--work", str(self.work_dir), *arguments]

    @property
    def run_dir(self) -> PurePosixPath:
        """Where a daemon of this build keeps its socket, pid and log."""
        return self.work_dir / "run" / self.build


def install_agent(
    device: Device, workspace: Workspace, native: Products | None = None
) -> tuple[InstalledAgent, Transfer]:
    """The agent of this version on the device, pushed unless exactly this build is there already: the Python
    one, or that of `native`, which is built if need be.

    Raises DeviceError, and what a build raises.
    """
    if native is None:
        source, build = _bundle(workspace.agent_dir)
    else:
        agent = native.agent()
        source, build = agent.program, agent.build
    installed = agent_of(device, build, native=native is not None)
    path = PurePosixPath(installed.program[-1])
    size_bytes = source.stat().st_size
    if device.transport.file_size(path) == size_bytes:
        return installed, Transfer(skipped_bytes=size_bytes)
    return installed, _push(device.transport, source, path)


def agent_of(device: Device, build: str, *, native: bool) -> InstalledAgent:
    """Where an agent of this build lies on the device, or would lie."""
    path = str(device.work_dir / "agents" / build / (NATIVE_NAME if native else PYTHON_NAME))
    program = (path,) if native else (device.python, path)
    kind: Literal["python", "native"] = "native" if native else "python"
    return InstalledAgent(device.spec.name, device.transport, kind, program, device.work_dir, build)


@contextmanager
def started_core(agent: InstalledAgent) -> Iterator[Channel | None]:
    """A core that starts while the host does other things, for `open_session`; None where a daemon runs.

    It is ended with the block, whether a session took it or not. Raises DeviceError.
    """
    if daemon_is_listed(agent):
        yield None
        return
    channel = agent.transport.open_channel(agent.argv("core"))
    try:
        yield channel
    except BaseException:
        channel.kill()
        raise
    finally:
        channel.close()


def open_session(agent: InstalledAgent, identity: HostIdentity, core: Channel | None = None) -> AgentSession:
    """A claimed session with the device's daemon if one runs, else with a core of its own (Hello.carrier).

    `core` is one that was started ahead. Raises DeviceError (busy, unreachable) and AgentError.
    """
    session = attach_daemon(agent)
    if session is not None:
        return _claimed(session, identity)
    channel = core or agent.transport.open_channel(agent.argv("core"))
    try:
        session = AgentSession(channel, agent.device)
    except BaseException:
        channel.kill()
        channel.close()
        raise
    return _claimed(session, identity)


def attach_daemon(agent: InstalledAgent) -> AgentSession | None:
    """A session, not yet claimed, with the running daemon of this build; None when there is none.

    Raises AgentError when something listens there that is no agent.
    """
    if not daemon_is_listed(agent):
        return None
    channel = agent.transport.open_channel(agent.argv("attach"))
    try:
        return AgentSession(channel, agent.device)
    except AgentError:
        channel.kill()
        if channel.close() == NO_DAEMON:
            return None
        raise
    except BaseException:
        channel.kill()
        channel.close()
        raise


def push_artifact(
    session: Calls, agent: InstalledAgent, artifact: Artifact, progress: Progress = _SILENT
) -> Transfer:
    """Brings the artifact's files into the device's work folder; those it has are not sent again.

    Raises DeviceError (full, unreachable).
    """
    roles = files_for(artifact, native=agent.kind == "native")
    wanted = {sha256: artifact.path / artifact.files[role] for role, sha256 in roles.items()}
    return push_files(session, agent, wanted, progress)


def push_files(
    session: Calls, agent: InstalledAgent, wanted: Mapping[str, Path], progress: Progress
) -> Transfer:
    """Brings files into the device's work folder by their SHA-256; those that it has whole are not sent.

    So a push that was cut off goes on with the first file that is missing. Raises DeviceError.
    """
    asked = {"sha256": list(wanted)}
    present = set(session.call("files.stat", asked, timeout_s=_HASHING_TIMEOUT_S).result["present"])
    total = Transfer()
    for sha256, source in wanted.items():
        if sha256 in present:
            total += Transfer(skipped_bytes=source.stat().st_size)
        else:
            total += _push(agent.transport, source, agent.work_dir / "files" / sha256, progress.update)
    return total


def daemon_is_listed(agent: InstalledAgent) -> bool:
    """Whether a daemon may run. No pid file: never started; an empty one: ended in good order."""
    return bool(agent.transport.file_size(agent.run_dir / "agent.pid"))


def _bundle(folder: Path) -> tuple[Path, str]:
    """The zipapp of this host's agent and its build id, made once for each state of the sources.

    Raises UsageError when it cannot be written.
    """
    contents = sources()
    build = build_of(contents)
    path = folder / f"agent-{build}.pyz"
    try:
        if not path.exists():
            build_agent(path)
    except OSError as error:
        raise UsageError(
            f"cannot write the agent to {path}: {error.strerror or error}",
            hint="free some space, or set EDGEFLOW_HOME to a folder that you can write to",
        ) from error
    return path, build


def _claimed(session: AgentSession, identity: HostIdentity) -> AgentSession:
    try:
        session.attach(identity.token, identity.name)
    except BaseException:
        session.close()
        raise
    return session


def _push(
    transport: Transport, source: Path, target: PurePosixPath, progress: ProgressFn | None = None
) -> Transfer:
    started = time.monotonic()
    transport.push(source, target, progress=progress)
    return Transfer(pushed_bytes=source.stat().st_size, seconds=time.monotonic() - started)
