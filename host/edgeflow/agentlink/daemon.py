"""The agent's life on a device: install, start, status, stop, logs, prune, uninstall."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edgeflow.agentlink.choice import choose_agent, tell
from edgeflow.agentlink.maintenance import run_command
from edgeflow.agentlink.provision import InstalledAgent, attach_daemon, install_agent
from edgeflow.agentlink.prune import prune as prune_agent
from edgeflow.agentlink.reattach import Reattaching
from edgeflow.agentlink.runtimes import provide_runtime
from edgeflow.config.devices import load_fleet
from edgeflow.devices.device import open_device
from edgeflow.errors import AgentError, UsageError
from edgeflow_agent.backends.base import REGISTRY

if TYPE_CHECKING:
    from edgeflow.agentlink.session import AgentSession
    from edgeflow.config.devices import AgentKind
    from edgeflow.devices.device import Device
    from edgeflow.progress import Progress
    from edgeflow.workspace import Workspace

_START_TIMEOUT_S = 30.0


def install(
    device: str,
    runtimes: Sequence[str],
    workspace: Workspace,
    progress: Progress,
    *,
    wanted: AgentKind | None = None,
) -> dict[str, Any]:
    """Brings the agent, and those runtimes that the device lacks, ahead of any deploy.

    One agent serves them all: the one that the first of them gets. Raises DeviceError, ToolMissingError,
    UsageError, AgentError.
    """
    workspace.ensure_home()
    _check_names(runtimes)
    with _device(device, workspace) as opened:
        choice = choose_agent(opened, next(iter(runtimes), None), workspace, progress, wanted=wanted)
        for runtime in runtimes[1:]:
            choose_agent(opened, runtime, workspace, progress, wanted=choice.kind)
        tell(choice, opened, next(iter(runtimes), None), progress)
        progress.step(f"push the agent to {device}")
        agent, transfer = install_agent(opened, workspace, choice.products)
        sites: dict[str, str | None] = {}
        if runtimes:
            with Reattaching(agent, workspace.home, progress) as session:
                for runtime in runtimes:
                    provided = provide_runtime(
                        session, agent, opened, runtime, workspace, progress, choice.products
                    )
                    sites[runtime] = provided.site
                    transfer += provided.transfer
        if transfer.pushed_bytes:
            prune_agent(agent, progress)
    return {
        "schema": "edgeflow.agent-install/1",
        "device": device,
        "kind": agent.kind,
        "build": agent.build,
        "work_dir": str(agent.work_dir),
        "sites": sites,
        "transfer": transfer.to_json(),
    }


def start(
    device: str,
    workspace: Workspace,
    progress: Progress,
    *,
    service: bool = False,
    wanted: AgentKind | None = None,
) -> dict[str, Any]:
    """Starts the daemon unless it runs already. `service`: by a systemd user unit, so that it also comes back
    after a reboot; where the device has no such thing, a note says so and it is started plainly.

    Raises AgentError with what it printed when it cannot, DeviceError (busy: it runs, plainly, and is used).
    """
    workspace.ensure_home()
    progress.step(f"start the agent on {device}")
    with _agent_on(device, workspace, progress, wanted) as agent:
        unit, started = _start_service(agent, progress) if service else (None, False)
        session = attach_daemon(agent)
        already = session is not None and not started
        if session is None:
            _start_plainly(agent)
            session = attach_daemon(agent)
        if session is None:
            raise AgentError(f"{device}: the daemon started and ended at once", hint="see its log")
        with session:
            return {**_document(device, session, already=already), "service": unit}


def status(
    device: str, workspace: Workspace, progress: Progress, *, wanted: AgentKind | None = None
) -> dict[str, Any]:
    """Whether the daemon of this version runs, and who uses it."""
    with _agent_on(device, workspace, progress, wanted) as agent:
        session = attach_daemon(agent)
        if session is None:
            return _stopped(device, stopped=False)
        with session:
            return _document(device, session, already=True)


def stop(
    device: str, workspace: Workspace, progress: Progress, *, force: bool, wanted: AgentKind | None = None
) -> dict[str, Any]:
    """Stops the daemon. Raises DeviceError (busy) while a job runs, unless forced."""
    with _agent_on(device, workspace, progress, wanted) as agent:
        session = attach_daemon(agent)
        if session is None:
            return _stopped(device, stopped=False)
        with session:
            session.call("shutdown", {"force": force})
        return _stopped(device, stopped=True)


def logs(
    device: str, lines: int, workspace: Workspace, progress: Progress, *, wanted: AgentKind | None = None
) -> dict[str, Any]:
    """The last lines of the running daemon's log. Raises UsageError when none runs."""
    with _agent_on(device, workspace, progress, wanted) as agent:
        session = attach_daemon(agent)
        if session is None:
            raise UsageError(f"{device}: no daemon runs", hint=f"edgeflow agent start --device {device}")
        with session:
            found = session.call("logs", {"lines": lines}).result["lines"]
    return {"schema": "edgeflow.logs/1", "device": device, "lines": found}


def prune(
    device: str,
    quota_bytes: int,
    workspace: Workspace,
    progress: Progress,
    *,
    wanted: AgentKind | None = None,
) -> dict[str, Any]:
    """Removes what was used longest ago from the device's work folder until the quota holds."""
    with _agent_on(device, workspace, progress, wanted) as agent:
        found = prune_agent(agent, progress, quota_bytes=quota_bytes)
    return {"schema": "edgeflow.agent-prune/1", "device": device, "quota_bytes": quota_bytes, **found}


def uninstall(
    device: str, workspace: Workspace, progress: Progress, *, force: bool, wanted: AgentKind | None = None
) -> dict[str, Any]:
    """Ends every daemon of this work folder and removes all that edgeflow put on the device.

    Raises DeviceError (busy) while a job runs, unless forced.
    """
    with _device(device, workspace) as opened:
        work_dir = str(opened.work_dir)
        there = opened.transport.run(["test", "-d", work_dir], timeout_s=_START_TIMEOUT_S).exit_code == 0
        found: dict[str, Any] = {"removed": False, "service": False, "left": []}
        if there:
            agent = _installed(opened, workspace, progress, wanted)
            found = run_command(agent, "uninstall", *(["--force"] if force else []))
    return {
        "schema": "edgeflow.agent-uninstall/1",
        "device": device,
        "work_dir": work_dir,
        "was_there": there,
        **found,
    }


def _start_service(agent: InstalledAgent, progress: Progress) -> tuple[str | None, bool]:
    """The unit's name, and whether it was started now; None, and a note, where the system cannot."""
    found = run_command(agent, "service")
    if found["service"] is None:
        progress.note(f"{agent.device}: no service, {found['reason']}: the daemon will not survive a reboot")
        return None, False
    if found["lingering"] is False:
        progress.note(
            f"{agent.device}: the service starts at your first login after a reboot; for a start at boot run "
            "there: loginctl enable-linger"
        )
    return str(found["service"]), bool(found["started"])


def _start_plainly(agent: InstalledAgent) -> None:
    done = agent.transport.run(agent.argv("daemon"), timeout_s=_START_TIMEOUT_S)
    if done.exit_code != 0:
        words = done.stderr.decode("utf-8", "replace").strip()
        last = words.splitlines()[-1] if words else f"exit code {done.exit_code}"
        raise AgentError(f"{agent.device}: the daemon did not start: {last}", detail=words)


def _check_names(runtimes: Sequence[str]) -> None:
    for runtime in runtimes:
        if runtime not in REGISTRY:
            raise UsageError(
                f"the agent has no runtime '{runtime}'", hint=f"it has: {', '.join(sorted(REGISTRY))}"
            )


@contextmanager
def _device(name: str, workspace: Workspace) -> Iterator[Device]:
    spec = load_fleet(workspace.devices_file, workspace.cwd, workspace.home).get(name)
    with open_device(spec, workspace.home) as opened:
        yield opened


@contextmanager
def _agent_on(
    device: str, workspace: Workspace, progress: Progress, wanted: AgentKind | None
) -> Iterator[InstalledAgent]:
    with _device(device, workspace) as opened:
        yield _installed(opened, workspace, progress, wanted)


def _installed(
    device: Device, workspace: Workspace, progress: Progress, wanted: AgentKind | None
) -> InstalledAgent:
    if device.which:
        progress.note(device.which)
    choice = choose_agent(device, None, workspace, progress, wanted=wanted)
    tell(choice, device, None, progress)
    return install_agent(device, workspace, choice.products)[0]


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
