"""A lock file among the processes that share a home, which tells who holds it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from edgeflow.errors import EdgeflowError, UsageError


@contextmanager
def held(path: Path, busy: Callable[[str], EdgeflowError]) -> Iterator[None]:
    """Holds `path` until the end of the block or of the process.

    Raises what `busy` makes of the holder ("process 12, since ...") where another process has it, UsageError
    when it cannot be written.
    """
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
            raise busy(holder or "another process") from error
        os.ftruncate(descriptor, 0)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        os.pwrite(descriptor, f"process {os.getpid()}, since {since}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
