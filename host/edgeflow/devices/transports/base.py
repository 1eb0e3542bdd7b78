"""How a device is reached: the Transport and Channel interfaces and what every transport promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Protocol, Self

from edgeflow.errors import DeviceError

ProgressFn = Callable[[int, int], None]
"""Called with (bytes done, bytes in all) while a file is copied."""


class DeviceTimeout(DeviceError):
    """The device, or a process on it, did not answer in time."""


class ChannelClosed(DeviceError):
    """The process at the other end of a channel ended or closed its input while we were writing."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ended. `exit_code` is as a POSIX shell tells it.

    127: no such program; 126: it may not be executed; 128 + N: signal N ended it.
    """

    argv: tuple[str, ...]
    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as UTF-8; bytes that are not become U+FFFD."""
        return self.stdout.decode("utf-8", "replace")

    def require_success(self, what: str) -> Completed:
        """This, if the command exited 0. Raises DeviceError that begins with `what` and quotes stderr."""
        if self.exit_code == 0:
            return self
        words = self.stderr.decode("utf-8", "replace").strip()
        last_line = words.splitlines()[-1] if words else "no message"
        raise DeviceError(f"{what}: {self.argv[0]} exited {self.exit_code}: {last_line}", detail=words)


class Channel(Protocol):
    """Binary standard input and output of one process on the device.

    One thread reads, writes and closes; any thread may `kill`. Nothing waits longer than it was told to.
    """

    def read(self, max_bytes: int, *, timeout_s: float) -> bytes:
        """At least one and up to `max_bytes` bytes, as soon as there are any; b"" once the stream ended.

        Raises DeviceTimeout when nothing comes within `timeout_s`; the channel stays usable.
        """

    def write(self, data: bytes | bytearray | memoryview, *, timeout_s: float) -> None:
        """Writes all of `data`. Raises ChannelClosed when the peer is gone, DeviceTimeout when it
        takes no byte for `timeout_s`; after either the stream is broken and must be closed.
        """

    def close(self, *, timeout_s: float = 5.0) -> int:
        """Ends the peer's input, waits for it to exit, kills it after `timeout_s`; returns its exit
        code (see Completed). May be called twice.
        """

    def kill(self) -> None:
        """Ends the process and the processes of its group now."""

    def stderr_tail(self) -> str:
        """The last lines that the process printed on its standard error, for diagnosis."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Transport(Protocol):
    """One device's commands and files. Paths on the device are absolute. Errors name the device."""

    def run(self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b"") -> Completed:
        """Runs a command to its end; no shell reads `argv`. Raises DeviceTimeout, and DeviceError when
        the device cannot be reached; a command that fails or is missing is a Completed.
        """

    def push(self, src: Path, dst: PurePosixPath, *, progress: ProgressFn | None = None) -> None:
        """Copies a file to the device, atomically: temporary name, fsync, size checked, rename.

        Creates missing folders; keeps the executable bit. Raises DeviceError (full, not writable, lost)
        and then leaves no part of the file behind.
        """

    def pull(self, src: PurePosixPath, dst: Path, *, progress: ProgressFn | None = None) -> None:
        """Copies a file from the device, atomically. Raises DeviceError; UsageError for a bad `dst`."""

    def file_size(self, path: PurePosixPath) -> int | None:
        """Bytes of the regular file `path`, or None where there is none. Raises DeviceError otherwise."""

    def mkdir(self, path: PurePosixPath) -> None:
        """Creates the folder and its parents where they are missing. Raises DeviceError."""

    def open_channel(self, argv: Sequence[str]) -> Channel:
        """Starts a process with binary stdin and stdout. Raises DeviceError when it cannot be started."""

    def close(self) -> None:
        """Kills channels that are still open and lets go of the device. May be called twice."""
