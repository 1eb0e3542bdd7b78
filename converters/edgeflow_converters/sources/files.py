"""What all readers of files ask first."""

from __future__ import annotations

from pathlib import Path

from edgeflow_converters.errors import ModelUnreadable


def present(path: Path, what: str = "model") -> Path:
    """`path`, which must be a file with something in it. Raises ModelUnreadable."""
    if not path.is_file():
        raise ModelUnreadable(f"{path} does not exist", hint=f"check the path of the {what}")
    if path.stat().st_size == 0:
        raise ModelUnreadable(f"{path} is empty", hint=f"save or download the {what} again")
    return path
