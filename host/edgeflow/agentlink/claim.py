"""One process of this host at a time with a device's daemon: all of them share this host's token."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from edgeflow.errors import DeviceError, UsageError


@contextmanager
def claim(home: Path, device: str) -> Iterator[None]:
    """Holds the device among the processes that share `home`, until the end of the block or of the process.

    Without it, a second deploy would look to the daemon like this host's own return from a dead connection.
    Raises DeviceError (busy: which process, since when), UsageError when `home` cannot be written.
    """
    path = home / "claims" / device
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
            busy = DeviceError(
                f"{device}: the device is busy: your own edgeflow, {holder or 'another process'}",
                hint="wait for it, or end it",
            )
            busy.code = "busy"
            raise busy from error
        os.ftruncate(descriptor, 0)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        os.pwrite(descriptor, f"process {os.getpid()}, since {since}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
