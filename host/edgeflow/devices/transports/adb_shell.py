"""Processes on an adb device: a command run to its end, and a channel, both over `shell,v2,raw`."""

from __future__ import annotations

import select
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from edgeflow.devices.transports.adb_link import AdbLink, LinkLost
from edgeflow.devices.transports.adb_wire import PacketId, ShellDecoder, shell_packet
from edgeflow.devices.transports.base import ChannelClosed, Completed, DeviceTimeout
from edgeflow.errors import DeviceError

Explain = Callable[[DeviceError, str], DeviceError]
"""From what broke, and during what, to the error that a user reads."""

KILLED = 128 + 9
_RECEIVE_BYTES = 256 << 10
_STDIN_CHUNK_BYTES = 64 << 10
_BUFFERED_BYTES = 4 << 20
_TAIL_BYTES = 16 << 10
_FOREVER_S = 10 * 365 * 86400.0
_DROPPED_S = 10.0


def service(argv: Sequence[str], *, check: bool = False) -> str:
    """The service that runs `argv`. Its first line on stdout is the process id, which is also its group's.

    adbd hands the text to the device's shell, which only prints the id and becomes the program; adbd gives
    each shell a session of its own (AOSP daemon/shell_service.cpp). With `check`, a program that is not
    there ends with 127 before the id.
    """
    program = shlex.quote(argv[0])
    guard = (
        f"command -v {program} >/dev/null || {{ echo {program}: not found >&2; exit 127; }}; "
        if check
        else ""
    )
    return f"shell,v2,raw:{guard}echo $$; exec {shlex.join(argv)}"


def converse(link: AdbLink, argv: Sequence[str], stdin: bytes, timeout_s: float) -> Completed:
    """Feeds the command its input and gathers its output to the end.

    Raises LinkLost, and Unfinished (with the process id where it told one) after `timeout_s`.
    """
    decoder, outputs = ShellDecoder(), {PacketId.stdout: bytearray(), PacketId.stderr: bytearray()}
    stdout = outputs[PacketId.stdout]
    waiting = memoryview(_stdin_stream(stdin))
    deadline = time.monotonic() + timeout_s
    while True:
        events = select.POLLIN | (select.POLLOUT if waiting else 0)
        try:
            ready = link.wait(events, max(0.0, deadline - time.monotonic()))
        except DeviceTimeout as error:
            raise Unfinished(_pid(bytes(stdout))) from error
        if ready & select.POLLOUT and waiting:
            waiting = waiting[link.send_some(waiting) :]
        if not ready & select.POLLIN or not link.has_data():
            continue
        data = link.receive(_RECEIVE_BYTES, 0)
        if not data:
            raise LinkLost("the connection ended before the command did")
        for kind, body in decoder.feed(data):
            if kind == PacketId.exit:
                return _completed(argv, body[0], bytes(stdout), bytes(outputs[PacketId.stderr]))
            outputs[kind] += body


class Unfinished(DeviceTimeout):
    """The command still runs; `pid` leads its process group."""

    def __init__(self, pid: int | None) -> None:
        super().__init__("the command did not end in time")
        self.pid = pid


class AdbChannel:
    """Channel over one `shell,v2,raw` service. A thread takes its packets apart all the time, so that
    standard error never blocks the process; it pauses while 4 MiB of standard output wait to be read.

    A process that closes its input but lives on goes unnoticed: adbd swallows what is written then.
    """

    def __init__(
        self,
        device: str,
        argv: Sequence[str],
        link: AdbLink,
        *,
        kill: Callable[[int], None],
        explain: Explain,
    ) -> None:
        self._device, self._program = device, argv[0]
        self._link, self._kill_group, self._explain = link, kill, explain
        self._decoder = ShellDecoder()
        self._changed = threading.Condition()
        self._stdout, self._tail = bytearray(), bytearray()
        self._exit_code: int | None = None
        self._lost: DeviceError | None = None
        self._pid: int | None = None
        self._closed = False
        self._input_open = True
        self._reader = threading.Thread(target=self._take_apart, name="edgeflow-adb", daemon=True)
        self._reader.start()

    def await_start(self, timeout_s: float) -> None:
        """Waits until the process is there. Raises DeviceError when it cannot be started."""
        line = bytearray()
        while not line.endswith(b"\n"):
            piece = self.read(1, timeout_s=timeout_s)
            if not piece:
                words = self.stderr_tail().strip() or f"exit code {self._exit_code}"
                raise DeviceError(
                    f"{self._device}: cannot start {self._program}: {words.splitlines()[-1]}", detail=words
                )
            line += piece
        self._pid = _pid(bytes(line))
        if self._pid is None:
            raise DeviceError(
                f"{self._device}: its shell prints {bytes(line[:80])!r} before a command",
                hint="take that out of the device's shell start-up file",
            )

    def read(self, max_bytes: int, *, timeout_s: float) -> bytes:
        with self._changed:
            self._changed.wait_for(self._readable, timeout_s)
            if self._stdout:
                data = bytes(self._stdout[:max_bytes])
                del self._stdout[:max_bytes]
                self._changed.notify_all()
                return data
            if self._lost is not None:
                raise self._lost
            if self._exit_code is not None or self._closed:
                return b""
        raise DeviceTimeout(
            f"{self._device}: no answer from {self._program} for {timeout_s:g} s", detail=self.stderr_tail()
        )

    def write(self, data: bytes | bytearray | memoryview, *, timeout_s: float) -> None:
        rest = memoryview(data).cast("B")
        for start in range(0, len(rest), _STDIN_CHUNK_BYTES):
            packet = shell_packet(PacketId.stdin, rest[start : start + _STDIN_CHUNK_BYTES])
            self._check_open()
            try:
                self._link.send(packet, timeout_s)
            except DeviceTimeout as error:
                raise DeviceTimeout(
                    f"{self._device}: {self._program} took no input for {timeout_s:g} s",
                    detail=self.stderr_tail(),
                ) from error
            except DeviceError as error:
                with self._changed:
                    self._changed.wait_for(self._over, 1.0)
                self._check_open()
                raise self._explain(error, f"{self._program} was written to") from error

    def close(self, *, timeout_s: float = 5.0) -> int:
        if not self._closed:
            try:
                self._end_input()
                if not self._await_exit(timeout_s):
                    self.kill()
                    self._await_exit(_DROPPED_S)
            finally:
                self._closed = True
                self._link.shut_down()
                with self._changed:
                    self._changed.notify_all()
                self._reader.join(_DROPPED_S)
                self._link.close()
        if self._exit_code is None and self._lost is not None:
            raise self._lost
        return KILLED if self._exit_code is None else self._exit_code

    def kill(self) -> None:
        with self._changed:
            if self._over() or self._closed or self._pid is None:
                return
        self._kill_group(self._pid)

    def stderr_tail(self) -> str:
        with self._changed:
            return self._tail.decode("utf-8", "replace")

    @property
    def closed(self) -> bool:
        """Whether `close` ran."""
        return self._closed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            return
        self.abandon()

    def abandon(self) -> None:
        """Kills the process if the device can still be reached, and closes; raises nothing.

        For when an error is already on its way: that one is the cause, and must not be replaced.
        """
        for step in (self.kill, self.close):
            try:
                step()
            except DeviceError:
                continue

    def _readable(self) -> bool:
        return bool(self._stdout) or self._over() or self._closed

    def _over(self) -> bool:
        return self._exit_code is not None or self._lost is not None

    def _check_open(self) -> None:
        with self._changed:
            if self._lost is not None:
                raise self._lost
            if self._exit_code is not None:
                raise ChannelClosed(
                    f"{self._device}: {self._program} ended while it was written to",
                    detail=self._tail.decode("utf-8", "replace"),
                )

    def _end_input(self) -> None:
        if self._input_open and not self._over():
            self._input_open = False
            try:
                self._link.send(shell_packet(PacketId.close_stdin), _DROPPED_S)
            except DeviceError:
                return  # the reader sees the same break and keeps the reason

    def _await_exit(self, timeout_s: float) -> bool:
        """Waits for the exit code while dropping what is printed: a full pipe would stop the process."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not self._over():
                self._stdout.clear()
                self._changed.notify_all()
                rest_s = deadline - time.monotonic()
                if rest_s <= 0:
                    return False
                self._changed.wait(rest_s)
        return True

    def _take_apart(self) -> None:
        """The reader thread: packets into stdout, the tail of stderr and the exit code."""
        try:
            while self._exit_code is None:
                with self._changed:
                    self._changed.wait_for(
                        lambda: len(self._stdout) < _BUFFERED_BYTES or self._closed, _FOREVER_S
                    )
                data = self._link.receive(_RECEIVE_BYTES, _FOREVER_S)
                if not data:
                    raise LinkLost("the connection ended before the process did")
                self._sort(data)
        except DeviceError as error:
            failure = error if self._closed else self._explain(error, f"{self._program} ran")
            with self._changed:
                self._lost = failure
                self._changed.notify_all()

    def _sort(self, data: bytes) -> None:
        with self._changed:
            for kind, body in self._decoder.feed(data):
                if kind == PacketId.stdout:
                    self._stdout += body
                elif kind == PacketId.stderr:
                    self._tail += body
                    del self._tail[:-_TAIL_BYTES]
                else:
                    self._exit_code = body[0]
            self._changed.notify_all()


def _stdin_stream(stdin: bytes) -> bytes:
    pieces = [
        shell_packet(PacketId.stdin, stdin[start : start + _STDIN_CHUNK_BYTES])
        for start in range(0, len(stdin), _STDIN_CHUNK_BYTES)
    ]
    return b"".join([*pieces, shell_packet(PacketId.close_stdin)])


def _completed(argv: Sequence[str], exit_code: int, stdout: bytes, stderr: bytes) -> Completed:
    first, newline, rest = stdout.partition(b"\n")
    if not newline or _pid(first) is None:
        raise DeviceError(
            f"the device's shell prints {first[:80]!r} before a command",
            hint="take that out of the device's shell start-up file",
        )
    return Completed(tuple(argv), exit_code, rest, stderr)


def _pid(line: bytes) -> int | None:
    first = line.split(b"\n", 1)[0].strip()
    return int(first) if first.isdigit() else None
