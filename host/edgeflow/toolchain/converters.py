"""The converters' tools as `edgeflow toolchain` and `edgeflow doctor` show and bring them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgeflow.config.suggest import did_you_mean
from edgeflow.converter_errors import converter_errors
from edgeflow.errors import UsageError

if TYPE_CHECKING:
    from edgeflow.progress import Progress
    from edgeflow.workspace import Workspace

Document = dict[str, Any]

_INSTALLED = ("ncnn", "onnxruntime")  # their converters come with edgeflow


def converter_checks(workspace: Workspace) -> list[Document]:
    """For each runtime whether models can be converted to it, else what is missing and what mends it."""
    from edgeflow_converters.precision import RUNTIMES
    from edgeflow_converters.targets import get_target

    found = []
    for runtime in RUNTIMES:
        status = get_target(runtime, workspace.tools_dir).doctor()
        usable = status.ready or status.on_demand
        what = f"{status.name} {status.version}" if status.ready else f"without {status.missing}"
        fix = "" if usable else status.fix
        # One that is missing makes its own runtime unavailable, and nothing else.
        optional = runtime not in _INSTALLED
        found.append(
            {"name": f"converter {runtime}", "ready": usable, "optional": optional, "what": what, "fix": fix}
        )
    return found


def tool_rows(workspace: Workspace) -> list[Document]:
    """The environments of converters: whether each is there, what for, and the command that brings it."""
    from edgeflow_converters.environments import environment
    from edgeflow_converters.locks import load_locks

    rows = []
    for name, lock in load_locks().items():
        status = environment(name, workspace.tools_dir).status()
        rows.append(
            {
                "tool": name,
                "what": lock.what,
                "runtimes": list(lock.runtimes),
                "python": list(lock.python),
                "disk_mb": lock.disk_mb,
                "ready": status.ready,
                "missing": status.missing,
                "fix": status.fix,
            }
        )
    return rows


def require_tools(names: Sequence[str]) -> None:
    """Raises UsageError for a name that is no tool."""
    from edgeflow_converters.locks import load_locks

    known = list(load_locks())
    for name in names:
        if name not in known:
            raise UsageError(f"no such tool: {name}; {did_you_mean(name, known)}")


def install_tools(
    names: Sequence[str], workspace: Workspace, progress: Progress
) -> tuple[list[str], list[str]]:
    """Makes the environments that are not there; returns the names brought, and where all of them are.

    Raises UsageError for an unknown name or a folder that cannot be written, ToolMissingError.
    """
    from edgeflow_converters.environments import environment

    require_tools(names)
    brought, there = [], []
    for name in dict.fromkeys(names):
        tool = environment(name, workspace.tools_dir)
        if not tool.ready:
            with converter_errors():
                tool.ensure(progress.step)
            brought.append(name)
        there.append(f"{name}: {tool.folder}")
    return brought, there
