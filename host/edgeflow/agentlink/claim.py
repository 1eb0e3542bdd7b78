"""One process of this host at a time with a device's daemon: all of them share this host's token."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from edgeflow.errors import DeviceError
from edgeflow.holding import held


def claim(home: Path, device: str) -> AbstractContextManager[None]:
    """Holds the device among the processes that share `home`, until the end of the block or of the process.

    Without it, a second deploy would look to the daemon like this host's own return from a dead connection.
    Raises DeviceError (busy: which process, since when), UsageError when `home` cannot be written.
    """

    def busy(holder: str) -> DeviceError:
        error = DeviceError(
            f"{device}: the device is busy: your own edgeflow, {holder}", hint="wait for it, or end it"
        )
        error.code = "busy"
        return error

    return held(home / "claims" / device, busy)
