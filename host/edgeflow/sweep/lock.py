"""One process at a time on a sweep."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from edgeflow.errors import UsageError


@contextmanager
def sweep_lock(home: Path, sweep_id: str) -> Iterator[None]:
    """Holds a sweep until the end of the block or of the process. Raises UsageError naming who holds it."""
    path = home / "sweeps" / f"{sweep_id}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror or error}", hint="set EDGEFLOW_HOME to a folder that you can write to"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip()
            raise UsageError(
                f"sweep {sweep_id} is run by {holder or 'another process'}",
                hint="wait for it, or end that process and resume the sweep",
            ) from error
        os.ftruncate(descriptor, 0)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        os.pwrite(descriptor, f"process {os.getpid()}, since {since}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
