"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from edgeflow.errors import UsageError


def write_atomic(target: Path, data: bytes) -> None:
    """Writes `data` under a temporary name beside `target`, syncs it and renames it. Raises UsageError."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
