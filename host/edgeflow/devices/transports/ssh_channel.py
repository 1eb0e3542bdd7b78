"""A process on the device with binary stdin and stdout over an SSH session channel."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from edgeflow.devices.transports.base import ChannelClosed, DeviceTimeout
from edgeflow.devices.transports.ssh_command import framed_command, kill_command, new_marker
from edgeflow.devices.transports.ssh_link import LinkLost, SshLink
from edgeflow.errors import DeviceError

LINK_LOST_EXIT = 255
"""The exit code of a process whose end the link did not live to tell; ssh(1) uses the same."""

_KILLED_EXIT = 137
_SLICE_S = 0.1  # how often a wait looks at its deadline and at standard error; data ends a wait at once
_WRITE_BYTES = 32 << 10
_TAIL_BYTES = 16 << 10
_MAX_NOISE_BYTES = 1 << 20
_START_TIMEOUT_S = 30.0
_KILL_TIMEOUT_S = 5.0


class SshChannel:
    """Channel over a session of a link. `read` and `write` may run on two threads.

    The stream is what the process writes, to the byte: what the login shell prints before is dropped.
    """

    def __init__(self, link: SshLink, program: str, *, keep_stderr: bool = False) -> None:
        self._link = link
        self._device = link.device
        self._program = program
        self._raw: Any = link.open_session()
        self._raw.settimeout(_SLICE_S)
        self._pending = b""
        self._pid: int | None = None
        self._marker = b""
        self._stderr_marker = b""
        self._stderr = bytearray()
        self._stderr_limit = None if keep_stderr else _TAIL_BYTES
        self._stderr_lock = threading.Lock()
        self._killed = False
        self.closed = False

    @classmethod
    def start(
        cls,
        link: SshLink,
        argv: Sequence[str],
        *,
        timeout_s: float = _START_TIMEOUT_S,
        keep_stderr: bool = False,
    ) -> tuple[Self, bool]:
        """Starts a command; also tells whether its program exists (else it exits 126 or 127 at once).

        Raises LinkLost, DeviceTimeout, and DeviceError where the login shell runs no commands.
        """
        marker = new_marker()
        command = framed_command(argv, marker)
        channel = cls(link, argv[0], keep_stderr=keep_stderr)
        try:
            channel._request(lambda: channel._raw.exec_command(command))
            channel._marker = marker.encode()
            channel._stderr_marker = channel._marker + b"\n"
            return channel, channel._await_marker(timeout_s)
        except BaseException:
            channel.kill()
            channel.close()
            raise

    @classmethod
    def subsystem(cls, link: SshLink, name: str) -> Self | None:
        """A channel to a subsystem of the server; None where it has no such one. Raises LinkLost."""
        import paramiko

        channel = cls(link, name)
        try:
            channel._raw.invoke_subsystem(name)
            return channel
        except (paramiko.SSHException, EOFError, OSError) as error:
            channel.close()
            if link.alive:
                return None
            raise link.lost(f"asking for {name}") from error

    def read(self, max_bytes: int, *, timeout_s: float) -> bytes:
        if self._pending:
            data, self._pending = self._pending[:max_bytes], self._pending[max_bytes:]
            return data
        deadline = time.monotonic() + timeout_s
        while True:
            self._collect_stderr()
            try:
                data = bytes(self._raw.recv(max_bytes))
            except TimeoutError:
                if time.monotonic() >= deadline:
                    raise DeviceTimeout(
                        f"{self._device}: no answer from {self._program} for {timeout_s:g} s",
                        detail=self.stderr_tail(),
                    ) from None
                continue
            # paramiko tells a link that broke as the end of the stream: a silent truncation if believed.
            if not data and not self._raw.eof_received and not self._link.alive:
                raise self._link.lost(f"reading from {self._program}")
            return data

    def write(self, data: bytes | bytearray | memoryview, *, timeout_s: float) -> None:
        import paramiko

        rest = memoryview(data).cast("B")
        deadline = time.monotonic() + timeout_s
        while rest:
            try:
                sent = self._raw.send(bytes(rest[:_WRITE_BYTES]))
            except TimeoutError:
                self._collect_stderr()  # it shares the link's window with standard output
                if time.monotonic() >= deadline:
                    raise DeviceTimeout(
                        f"{self._device}: {self._program} took no input for {timeout_s:g} s",
                        detail=self.stderr_tail(),
                    ) from None
                continue
            except (OSError, EOFError, paramiko.SSHException) as error:
                raise self._write_error() from error
            # paramiko drops what is sent on a dead connection, and says that it was sent.
            if sent == 0 or not self._link.alive:
                raise self._write_error()
            rest = rest[sent:]
            deadline = time.monotonic() + timeout_s

    def end_input(self) -> None:
        """Tells the process that no more input comes."""
        with contextlib.suppress(Exception):  # a channel or link that is gone takes none anyway
            self._raw.shutdown_write()

    def close(self, *, timeout_s: float = 5.0) -> int:
        """As Channel.close; LINK_LOST_EXIT when the link broke before the exit code was told."""
        if not self.closed:
            self.closed = True
            self.end_input()
            if not self._killed:
                self._drain(timeout_s)
                self.kill()
            self._drain(_KILL_TIMEOUT_S)
            self._collect_stderr()
            stuck = self._pid is not None and not self._ended() and self._link.alive
            with contextlib.suppress(Exception):  # only a dead link, and then there is nothing to close
                self._raw.close()
            if stuck:
                raise DeviceTimeout(f"{self._device}: {self._program} does not end though it was killed")
        return self._exit_code()

    def kill(self) -> None:
        """Ends the process group by a second session of the link; on a dead link only its input ends.

        Its exit is told by `close`, once what it printed was read.
        """
        if self._raw.eof_received:
            self._raw.status_event.wait(1.0)  # its end is about to be told: nothing to kill
        if self._ended() or not self._link.alive or self._pid is None:
            return
        import paramiko

        self._killed = True
        try:
            raw = self._link.open_session()
            try:
                raw.exec_command(kill_command(self._pid))
                raw.status_event.wait(_KILL_TIMEOUT_S)
            finally:
                raw.close()
        except LinkLost:
            return
        except (paramiko.SSHException, EOFError, OSError) as error:
            if self.link_alive:
                raise DeviceError(f"{self._device}: cannot kill {self._program}: {error}") from error
            return

    def stderr_tail(self) -> str:
        return self.stderr()[-_TAIL_BYTES:].decode("utf-8", "replace")

    def stderr(self) -> bytes:
        """What came on standard error so far, without the login shell's noise."""
        if self._raw.eof_received:
            self._raw.status_event.wait(1.0)  # its last words may still be on the way
        self._collect_stderr()
        with self._stderr_lock:
            if not self._stderr_marker:
                return bytes(self._stderr)
            before, marker, after = bytes(self._stderr).partition(self._stderr_marker)
            return after if marker else before

    def wait(self, *, timeout_s: float) -> int | None:
        """The exit code once the process ended, None when it did not within `timeout_s`."""
        self._raw.status_event.wait(timeout_s)
        return self._exit_code() if self._ended() else None

    @property
    def device(self) -> str:
        return self._device

    @property
    def link_alive(self) -> bool:
        return self._link.alive

    def link_lost(self, doing: str) -> LinkLost:
        """The error for a link that broke while `doing`."""
        return self._link.lost(doing)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.kill()
        self.close()

    def _drain(self, timeout_s: float) -> None:
        """Waits for the process to end while reading what it still prints: a full window would stop it."""
        deadline = time.monotonic() + timeout_s
        while not self._ended() and self._link.alive and time.monotonic() < deadline:
            self._collect_stderr()
            with contextlib.suppress(TimeoutError):
                if not self._raw.recv(1 << 16):
                    self._raw.status_event.wait(_SLICE_S)

    def _ended(self) -> bool:
        return bool(self._raw.exit_status_ready())

    def _exit_code(self) -> int:
        # paramiko says -1 when no exit status came: sshd tells a shell that was killed by a signal's name,
        # which paramiko does not keep.
        code = int(self._raw.exit_status)
        if code >= 0:
            return code
        return _KILLED_EXIT if self._killed or self._link.alive else LINK_LOST_EXIT

    def _write_error(self) -> DeviceError:
        if not self._link.alive:
            return self._link.lost(f"writing to {self._program}")
        return ChannelClosed(
            f"{self._device}: {self._program} ended while it was written to", detail=self.stderr_tail()
        )

    def _request(self, ask: Any) -> None:
        import paramiko

        try:
            ask()
        except (paramiko.SSHException, EOFError, OSError) as error:
            if not self._link.alive:
                raise self._link.lost(f"starting {self._program}") from error
            raise DeviceError(
                f"{self._device}: the SSH server runs no commands for this user",
                hint="see ForceCommand and the options before the key in authorized_keys",
                detail=str(error),
            ) from error

    def _await_marker(self, timeout_s: float) -> bool:
        """Drops everything up to the marker's line, and takes the process id from it."""
        seen = b""
        deadline = time.monotonic() + timeout_s
        while True:
            noise, marker, rest = seen.partition(self._marker)
            line, newline, after = rest.partition(b"\n")
            if marker and newline:
                pid, found = line.split()
                self._pid, self._pending = int(pid), after
                return found == b"1"
            if len(noise) > _MAX_NOISE_BYTES:
                raise self._no_shell(noise)
            data = self.read(1 << 16, timeout_s=max(0.0, deadline - time.monotonic()))
            if not data:
                raise self._no_shell(seen)
            seen += data

    def _no_shell(self, printed: bytes) -> DeviceError:
        words = (printed + b"\n" + self.stderr()).decode("utf-8", "replace").strip()
        first = words.splitlines()[0][:120] if words else "it printed nothing"
        return DeviceError(
            f"{self._device}: the login shell ran no command: {first}",
            hint="give the user a login shell (chsh), and see ForceCommand in the device's sshd_config",
            detail=words[:4000],
        )

    def _collect_stderr(self) -> None:
        with self._stderr_lock:
            while self._raw.recv_stderr_ready():
                self._stderr += self._raw.recv_stderr(1 << 16)
                limit = self._stderr_limit
                if limit is not None and len(self._stderr) > 2 * limit:
                    if self._stderr_marker in self._stderr:
                        self._stderr_marker = b""  # it may go now: what stays is the process's alone
                    del self._stderr[:-limit]
