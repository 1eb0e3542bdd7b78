"""`edgeflow doctor`: whether this installation can work, part by part."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from edgeflow import __version__
from edgeflow.errors import EdgeflowError
from edgeflow.store import Store
from edgeflow.toolchain.converters import converter_checks

if TYPE_CHECKING:
    from edgeflow.workspace import Workspace


def doctor_document(workspace: Workspace) -> dict[str, Any]:
    """Each part with its state, what was found, and the command that mends it (schema edgeflow.doctor/1)."""
    checks = [
        _check("edgeflow", True, f"{__version__}, Python {sys.version.split()[0]}"),
        _home(workspace),
        _store(workspace),
        *converter_checks(workspace),
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


_NEEDED = ("ncnn", "onnxruntime")  # what `pip install edgeflow` brings everywhere


def _runtimes() -> list[dict[str, Any]]:
    from edgeflow_agent.backends.base import available

    return [_runtime(name, backend) for name, backend in available().items() if name != "null"]


def _runtime(name: str, backend: dict[str, Any]) -> dict[str, Any]:
    """A runtime of this machine as a device; what it lacks, a deployment brings where there is a package."""
    part = f"runtime {name}"
    if backend["available"]:
        return _check(part, True, str(backend.get("version")))
    if name in _NEEDED:
        return _check(part, False, str(backend.get("reason")))
    what = "not in this Python; a deployment brings it to a device that lacks it, where it is published"
    return _check(part, False, what, optional=True)


def _check(name: str, ready: bool, what: str, fix: str = "", *, optional: bool = False) -> dict[str, Any]:
    return {"name": name, "ready": ready, "optional": optional, "what": what, "fix": fix}
