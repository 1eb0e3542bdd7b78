"""External converters: where they are, which version we drive, how they are fetched."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from edgeflow_converters import tool
from edgeflow_converters.base import ProgressFn, ToolStatus
from edgeflow_converters.errors import ConverterFailed, ToolMissing
from edgeflow_converters.packages import fill_once, index_reason, require_space

PNNX_VERSION = "20261020"
_FETCH_TIMEOUT_S = 900.0


def pnnx_path(tools_root: Path) -> Path:
    """Where ensure_pnnx puts the executable."""
    return tools_root / f"pnnx-{PNNX_VERSION}" / "pnnx" / "pnnx"


def pnnx_fetch_command(tools_root: Path) -> list[str]:
    """The command that fetches pnnx.

    The wheel declares torch (5 GB) as a requirement, but the executable inside is self-contained: hence
    --no-deps and a folder of its own instead of an environment.
    """
    return _pip_command(tools_root / f"pnnx-{PNNX_VERSION}")


def _pip_command(folder: Path) -> list[str]:
    return [
        sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-deps",
        "--no-compile", "--target", str(folder), f"pnnx=={PNNX_VERSION}",
    ]  # fmt: skip


def pnnx_status(tools_root: Path) -> ToolStatus:
    """Whether pnnx is there, without fetching it."""
    if _is_executable(pnnx_path(tools_root)):
        return ToolStatus("pnnx", ready=True, version=PNNX_VERSION)
    return ToolStatus(
        "pnnx",
        ready=False,
        missing=f"pnnx {PNNX_VERSION}, which the first ncnn conversion fetches",
        fix=" ".join(pnnx_fetch_command(tools_root)),
        on_demand=True,
    )


def ensure_pnnx(tools_root: Path, progress: ProgressFn) -> Path:
    """The pnnx executable, fetched once (30 MB) if it is not there.

    Safe for two processes at once: one fetches it, the other waits.
    Raises ToolMissing with the command to run by hand, CacheUnwritable if the folder cannot be written.
    """
    executable = pnnx_path(tools_root)
    if _is_executable(executable):
        return executable
    progress(f"fetch pnnx {PNNX_VERSION}")

    def fill(folder: Path) -> None:
        command = _pip_command(folder)
        try:
            tool.run_checked(command, name="pip", cwd=folder.parent, timeout_s=_FETCH_TIMEOUT_S)
        except ConverterFailed as error:
            require_space(folder, error.log)
            raise _missing(tools_root, error.message, error.log) from error
        fetched = folder / "pnnx" / "pnnx"
        if not fetched.is_file():
            raise _missing(tools_root, "the package holds no executable for this platform", "")
        fetched.chmod(0o755)

    fill_once(executable.parent.parent, executable, fill, progress)
    return executable


def _missing(tools_root: Path, reason: str, log: str) -> ToolMissing:
    reason = index_reason(reason, log)
    return ToolMissing(
        f"pnnx {PNNX_VERSION} could not be fetched for {platform.system()} {platform.machine()}: {reason}",
        hint=f"check the network, or run: {' '.join(pnnx_fetch_command(tools_root))}",
        log=log,
    )


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
