"""Where edgeflow keeps its store, caches and environments."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from edgeflow.errors import UsageError


def edgeflow_home() -> Path:
    """The absolute path of edgeflow's folder: `EDGEFLOW_HOME`, else the platform's user data folder.

    The folder need not exist. Raises UsageError when `EDGEFLOW_HOME` names something that is not a folder.
    """
    configured = os.environ.get("EDGEFLOW_HOME")
    if not configured:
        return Path(platformdirs.user_data_dir("edgeflow", appauthor=False))
    home = Path(configured).expanduser().absolute()
    if home.exists() and not home.is_dir():
        raise UsageError(f"EDGEFLOW_HOME: {home} is not a folder", hint="set EDGEFLOW_HOME to a folder")
    return home
