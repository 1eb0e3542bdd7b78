"""What the shell offers when a name is half typed. Never fails: no completion is better than a traceback."""

from __future__ import annotations

from collections.abc import Iterable


def runtimes(incomplete: str) -> list[str]:
    """Runtimes of this version."""
    from edgeflow_converters.precision import RUNTIMES

    return _starting(RUNTIMES, incomplete)


def precisions(incomplete: str) -> list[str]:
    """Precisions by name."""
    from edgeflow_converters.precision import PRECISIONS

    return _starting(PRECISIONS, incomplete)


def devices(incomplete: str) -> list[str]:
    """Devices of the fleet that a command in this folder would use."""
    from edgeflow.config.devices import load_fleet
    from edgeflow.errors import EdgeflowError
    from edgeflow.workspace import Workspace

    try:
        workspace = Workspace.default()
        return _starting(load_fleet(None, workspace.cwd, workspace.home).devices, incomplete)
    except EdgeflowError:
        return []


def zoo_names(incomplete: str) -> list[str]:
    """Models of the zoo."""
    from edgeflow.zoo.manifest import manifest

    return _starting(manifest().models, incomplete)


def _starting(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
