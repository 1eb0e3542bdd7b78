"""The daemon's life on a device: start, status, stop, logs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edgeflow.agentlink.provision import InstalledAgent, attach_daemon, install_agent
from edgeflow.config.devices import load_fleet
from edgeflow.devices.device import open_device
from edgeflow.errors import AgentError, UsageError

if TYPE_CHECKING:
    from edgeflow.agentlink.session import AgentSession
    from edgeflow.progress import Progress
    from edgeflow.workspace import Workspace

_START_TIMEOUT_S = 30.0


def start(device: str, workspace: Workspace, progress: Progress) -> dict[str, Any]:
    """Starts the daemon unless it runs already. Raises AgentError with what it printed when it cannot."""
    workspace.ensure_home()
    progress.step(f"start the agent on {device}")
    with _agent_on(device, workspace) as agent:
        session = attach_daemon(agent)
        already = session is not None
        if session is None:
            done = agent.transport.run(agent.argv("daemon"), timeout_s=_START_TIMEOUT_S)
            if done.exit_code != 0:
                words = done.stderr.decode("utf-8", "replace").strip()
                last = words.splitlines()[-1] if words else f"exit code {done.exit_code}"
                raise AgentError(f"{device}: the daemon did not start: {last}", detail=words)
            session = attach_daemon(agent)
        if session is None:
            raise AgentError(f"{device}: the daemon started and ended at once", hint="see its log")
        with session:
            return _document(device, session, already=already)


def status(device: str, workspace: Workspace) -> dict[str, Any]:
    """Whether the daemon of this version runs, and who uses it."""
    with _agent_on(device, workspace) as agent:
        session = attach_daemon(agent)
        if session is None:
            return _stopped(device, stopped=False)
        with session:
            return _document(device, session, already=True)


def stop(device: str, workspace: Workspace, *, force: bool) -> dict[str, Any]:
    """Stops the daemon. Raises DeviceError (busy) while a job runs, unless forced."""
    with _agent_on(device, workspace) as agent:
        session = attach_daemon(agent)
        if session is None:
            return _stopped(device, stopped=False)
        with session:
            session.call("shutdown", {"force": force})
        return _stopped(device, stopped=True)


def logs(device: str, lines: int, workspace: Workspace) -> dict[str, Any]:
    """The last lines of the running daemon's log. Raises UsageError when none runs."""
    with _agent_on(device, workspace) as agent:
        session = attach_daemon(agent)
        if session is None:
            raise UsageError(f"{device}: no daemon runs", hint=f"edgeflow agent start --device {device}")
        with session:
            found = session.call("logs", {"lines": lines}).result["lines"]
    return {"schema": "edgeflow.logs/1", "device": device, "lines": found}


@contextmanager
def _agent_on(device: str, workspace: Workspace) -> Iterator[InstalledAgent]:
    spec = load_fleet(workspace.devices_file, workspace.cwd, workspace.home).get(device)
    with open_device(spec, workspace.home) as opened:
        agent, _ = install_agent(opened, workspace)
        yield agent


def _document(device: str, session: AgentSession, *, already: bool) -> dict[str, Any]:
    hello = session.hello
    return {
        "schema": "edgeflow.agent/1",
        "device": device,
        "running": True,
        "already": already,
        "stopped": False,
        "pid": hello.pid,
        "agent": {
            "kind": hello.kind,
            "version": hello.version,
            "build": hello.build,
            "flags": hello.flags,
        },
        "backends": dict(hello.backends),
        "accelerators": list(hello.accelerators),
        "busy": hello.busy,
    }


def _stopped(device: str, *, stopped: bool) -> dict[str, Any]:
    return {"schema": "edgeflow.agent/1", "device": device, "running": False, "stopped": stopped}
