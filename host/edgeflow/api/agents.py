"""Agents on devices, what builds them, and whether this installation can work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeflow.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgeflow.config.devices import AgentKind
    from edgeflow.progress import Progress
    from edgeflow.workspace import Workspace

Document = dict[str, Any]
_SILENT = Silent()


def agent_build(
    target: str,
    runtimes: Sequence[str],
    *,
    layers: str = "all",
    compiler: str = "auto",
    runtime_dirs: Sequence[str] = (),
    output: Path | None = None,
    workspace: Workspace,
    progress: Progress = _SILENT,
) -> Document:
    """The native agent and workers for a target (schema edgeflow.agent-build/1)."""
    from edgeflow.toolchain import documents

    return documents.build_document(
        target, runtimes, layers, compiler, runtime_dirs, output, workspace, progress
    )


def agent_bundle(
    targets: Sequence[str],
    runtimes: Sequence[str],
    folder: Path,
    workspace: Workspace,
    progress: Progress = _SILENT,
) -> Document:
    """Agents for many targets in one checksummed archive (schema edgeflow.agent-bundle-build/1)."""
    from edgeflow.toolchain import documents

    return documents.bundle_document(targets, runtimes, folder, workspace, progress)


def agent_install(
    device: str,
    runtimes: Sequence[str],
    workspace: Workspace,
    progress: Progress = _SILENT,
    *,
    agent: AgentKind | None = None,
) -> Document:
    """Brings the agent, and runtimes that the device lacks (schema edgeflow.agent-install/1)."""
    from edgeflow.agentlink import daemon

    return daemon.install(device, runtimes, workspace, progress, wanted=agent)


def agent_start(
    device: str,
    workspace: Workspace,
    progress: Progress = _SILENT,
    *,
    service: bool = False,
    agent: AgentKind | None = None,
) -> Document:
    """Starts the daemon unless it runs; as a systemd user unit if asked (schema edgeflow.agent/1)."""
    from edgeflow.agentlink import daemon

    return daemon.start(device, workspace, progress, service=service, wanted=agent)


def agent_prune(
    device: str,
    quota_bytes: int,
    workspace: Workspace,
    progress: Progress = _SILENT,
    *,
    agent: AgentKind | None = None,
) -> Document:
    """Removes what was used longest ago there until the quota holds (schema edgeflow.agent-prune/1)."""
    from edgeflow.agentlink import daemon

    return daemon.prune(device, quota_bytes, workspace, progress, wanted=agent)


def agent_uninstall(
    device: str,
    workspace: Workspace,
    progress: Progress = _SILENT,
    *,
    force: bool,
    agent: AgentKind | None = None,
) -> Document:
    """Takes everything of edgeflow off the device (schema edgeflow.agent-uninstall/1)."""
    from edgeflow.agentlink import daemon

    return daemon.uninstall(device, workspace, progress, force=force, wanted=agent)


def agent_status(
    device: str, workspace: Workspace, progress: Progress = _SILENT, *, agent: AgentKind | None = None
) -> Document:
    """Whether the daemon runs, and who uses it (schema edgeflow.agent/1)."""
    from edgeflow.agentlink import daemon

    return daemon.status(device, workspace, progress, wanted=agent)


def agent_stop(
    device: str,
    workspace: Workspace,
    progress: Progress = _SILENT,
    *,
    force: bool,
    agent: AgentKind | None = None,
) -> Document:
    """Stops the daemon; refused while a job runs unless forced (schema edgeflow.agent/1)."""
    from edgeflow.agentlink import daemon

    return daemon.stop(device, workspace, progress, force=force, wanted=agent)


def agent_logs(
    device: str,
    lines: int,
    workspace: Workspace,
    progress: Progress = _SILENT,
    *,
    agent: AgentKind | None = None,
) -> Document:
    """The daemon's last log lines (schema edgeflow.logs/1)."""
    from edgeflow.agentlink import daemon

    return daemon.logs(device, lines, workspace, progress, wanted=agent)


def toolchain_list(workspace: Workspace, progress: Progress = _SILENT) -> Document:
    """What the native agent is built from, and the converters' tools (schema edgeflow.toolchain/1)."""
    from edgeflow.toolchain import documents

    return documents.list_document(workspace, progress)


def toolchain_install(
    targets: Sequence[str],
    runtimes: Sequence[str],
    compiler: str,
    workspace: Workspace,
    progress: Progress = _SILENT,
    *,
    tools: Sequence[str] = (),
) -> Document:
    """Brings what building needs and is not there, or the named converters' tools.

    Schema edgeflow.toolchain-install/1.
    """
    from edgeflow.toolchain import documents

    return documents.install_document(tools, targets, runtimes, compiler, workspace, progress)


def toolchain_doctor(workspace: Workspace, progress: Progress = _SILENT) -> Document:
    """What building and converting need, part by part (schema edgeflow.doctor/1)."""
    from edgeflow.toolchain import documents

    return documents.doctor_document(workspace, progress)


def doctor(workspace: Workspace) -> Document:
    """Whether this installation can work, part by part (schema edgeflow.doctor/1)."""
    from edgeflow.deploy import health

    return health.doctor_document(workspace)
