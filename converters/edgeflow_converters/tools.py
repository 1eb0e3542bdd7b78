"""pnnx, the converter of ncnn: an executable out of a wheel, fetched once (packages.py)."""

from __future__ import annotations

import os
from pathlib import Path

from edgeflow_converters.base import ProgressFn, ToolStatus
from edgeflow_converters.packages import PNNX

PNNX_VERSION = PNNX.version


def pnnx_path(tools_root: Path) -> Path:
    """Where ensure_pnnx puts the executable."""
    return PNNX.folder(tools_root) / PNNX.marker


def pnnx_status(tools_root: Path) -> ToolStatus:
    """Whether pnnx is there, without fetching it."""
    return PNNX.status(tools_root)


def ensure_pnnx(tools_root: Path, progress: ProgressFn) -> Path:
    """The pnnx executable, fetched once if it is not there. Raises as PackageSet.ensure does."""
    executable = PNNX.ensure(tools_root, progress) / PNNX.marker
    if not os.access(executable, os.X_OK):
        executable.chmod(0o755)
    return executable
