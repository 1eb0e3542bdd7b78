"""`edgeflow doctor`: whether this installation can work, part by part."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from edgeflow import __version__
from edgeflow.errors import EdgeflowError
from edgeflow.store import Store

if TYPE_CHECKING:
    from edgeflow.workspace import Workspace


def doctor_document(workspace: Workspace) -> dict[str, Any]:
    """Each part with its state, what was found, and the command that mends it (schema edgeflow.doctor/1)."""
    checks = [
        _check("edgeflow", True, f"{__version__}, Python {sys.version.split()[0]}"),
        _home(workspace),
        _store(workspace),
        *_tools(workspace),
        *_runtimes(),
    ]
    return {"schema": "edgeflow.doctor/1", "checks": checks}


def _home(workspace: Workspace) -> dict[str, Any]:
    try:
        workspace.ensure_home()
    except EdgeflowError as error:
        return _check("home", False, error.message, error.hint)
    return _check("home", True, str(workspace.home))


def _store(workspace: Workspace) -> dict[str, Any]:
    try:
        with Store.open(workspace.store_path) as store:
            count = len(store.list(limit=None))
    except EdgeflowError as error:
        return _check("store", False, error.message, error.hint)
    return _check("store", True, f"{workspace.store_path}: {count} results")


def _tools(workspace: Workspace) -> list[dict[str, Any]]:
    from edgeflow_converters.precision import RUNTIMES
    from edgeflow_converters.targets import get_target

    found = []
    for runtime in RUNTIMES:
        status = get_target(runtime, workspace.tools_dir).doctor()
        what = f"{status.name} {status.version}" if status.ready else f"without {status.missing}"
        fix = "" if status.ready or status.on_demand else status.fix
        found.append(_check(f"converter {runtime}", status.ready or status.on_demand, what, fix))
    return found


def _runtimes() -> list[dict[str, Any]]:
    from edgeflow_agent.backends.base import available

    return [
        _check(
            f"runtime {name}",
            bool(backend["available"]),
            str(backend.get("version") or backend.get("reason")),
        )
        for name, backend in available().items()
        if name != "null"
    ]


def _check(name: str, ready: bool, what: str, fix: str = "") -> dict[str, Any]:
    return {"name": name, "ready": ready, "what": what, "fix": fix}
