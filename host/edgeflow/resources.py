"""Where files lie that are no Python: in the installed wheel, or in the checkout."""

from __future__ import annotations

from pathlib import Path

from edgeflow.errors import ToolMissingError

_PACKAGE = Path(__file__).resolve().parent
_IN_WHEEL = _PACKAGE / "_resources"
_CHECKOUT = _PACKAGE.parent.parent


def native_sources() -> Path:
    """The folder of the native agent's sources. Raises ToolMissingError."""
    return _folder("agent/native")


def toolchains() -> Path:
    """The folder of toolchain files and of runtimes.yaml. Raises ToolMissingError."""
    return _folder("toolchains")


def _folder(name: str) -> Path:
    for root in (_IN_WHEEL, _CHECKOUT):
        if (root / name).is_dir():
            return root / name
    raise ToolMissingError(
        f"this installation of edgeflow has no {name}",
        hint="install edgeflow again, from its wheel or from a whole checkout",
    )
