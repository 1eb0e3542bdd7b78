"""One socket to adb's server: every wait has a limit, and a long silence is checked with the device."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from edgeflow.devices.transports.adb_wire import ProtocolError, request
from edgeflow.devices.transports.base import DeviceTimeout
from edgeflow.errors import DeviceError

Alive = Callable[[], None]
"""Asks the device for a sign of life; raises DeviceError when there is none."""

_SILENCE_S = 2.5  # with adb_server's PING_S and one try to connect again: noticed within 10 s
_RECEIVE_BYTES = 256 << 10


class LinkLost(DeviceError):
    """The connection broke, or the device gave no sign of life, in the middle of something."""


class AdbLink:
    """A non-blocking socket to the server. One thread may read while another writes."""

    def __init__(self, link: socket.socket, peer: str, *, alive: Alive | None = None) -> None:
        link.setblocking(False)
        self._socket = link
        self._peer = peer
        self._alive = alive
        self._buffer = bytearray()

    def wait(self, events: int, timeout_s: float) -> int:
        """Those of select.POLLIN and POLLOUT that are ready.

        Raises DeviceTimeout after `timeout_s`; LinkLost once the device shows no sign of life.
        """
        if events & select.POLLIN and self._buffer:
            return select.POLLIN
        poll = select.poll()
        poll.register(self._socket, events)
        deadline = time.monotonic() + timeout_s
        while True:
            rest_s = max(0.0, deadline - time.monotonic())
            slice_s = min(rest_s, _SILENCE_S) if self._alive else rest_s
            if ready := poll.poll(slice_s * 1000):
                found = ready[0][1]
                broken = found & (select.POLLHUP | select.POLLERR)
                return events if broken else found & events
            if time.monotonic() >= deadline:
                raise DeviceTimeout(f"{self._peer} did not answer within {timeout_s:g} s")
            if self._alive:
                self._alive()

    def receive(self, max_bytes: int, timeout_s: float) -> bytes:
        """Between 1 and `max_bytes` bytes; b"" at the end of the stream. Raises as `wait`, and LinkLost."""
        if self._buffer:
            data = bytes(self._buffer[:max_bytes])
            del self._buffer[:max_bytes]
            return data
        while True:
            self.wait(select.POLLIN, timeout_s)
            try:
                return self._socket.recv(max_bytes)
            except BlockingIOError:
                continue
            except OSError as error:
                raise LinkLost(f"{self._peer} broke the connection: {error.strerror}") from error

    def receive_exactly(self, count: int, timeout_s: float) -> bytes:
        """`count` bytes; `timeout_s` limits each silence. Raises LinkLost when the stream ends before."""
        while len(self._buffer) < count:
            self.wait_for_more(timeout_s)
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def wait_for_more(self, timeout_s: float) -> None:
        """Adds what comes next to the buffer. Raises as `receive_exactly`."""
        kept, self._buffer = self._buffer, bytearray()
        try:
            data = self.receive(_RECEIVE_BYTES, timeout_s)
        finally:
            self._buffer = kept
        if not data:
            raise LinkLost(f"{self._peer} broke the connection")
        self._buffer += data

    def has_data(self) -> bool:
        """Whether something can be read now."""
        if self._buffer:
            return True
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def send(self, data: bytes | bytearray | memoryview, timeout_s: float) -> None:
        """Sends all of it; `timeout_s` limits each wait for room. Raises as `wait`, and LinkLost."""
        rest = memoryview(data).cast("B")
        while rest:
            sent = self.send_some(rest)
            rest = rest[sent:]
            if not sent:
                self.wait(select.POLLOUT, timeout_s)

    def send_some(self, data: bytes | bytearray | memoryview) -> int:
        """Sends what there is room for, perhaps nothing. Raises LinkLost."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise LinkLost(f"{self._peer} broke the connection: {error.strerror}") from error

    def ask(self, service: str, timeout_s: float) -> None:
        """Sends a request and awaits OKAY. Raises Refused with the server's words, and as `wait`."""
        self.send(request(service), timeout_s)
        self.confirm(service, timeout_s)

    def confirm(self, service: str, timeout_s: float) -> None:
        """Awaits the OKAY to a request that was sent. Raises as `ask`."""
        status = self.receive_exactly(4, timeout_s)
        if status == b"FAIL":
            raise Refused(self.block(timeout_s))
        if status != b"OKAY":
            raise ProtocolError(f"{self._peer} answered {status!r} to {service.partition(':')[0]}")

    def block(self, timeout_s: float) -> str:
        """A text with four hex digits of length before it. Raises ProtocolError, and as `wait`."""
        digits = self.receive_exactly(4, timeout_s)
        try:
            length = int(digits, 16)
        except ValueError:
            raise ProtocolError(f"{self._peer} answered {digits!r} where a length belongs") from None
        return self.receive_exactly(length, timeout_s).decode("utf-8", "replace")

    def close(self) -> None:
        """Ends the connection; a thread that waits on it sees the end of the stream. May be called twice."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def shut_down(self) -> None:
        """Ends the connection both ways but keeps the descriptor, for a thread that still waits on it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Refused(DeviceError):
    """The server or the device answered FAIL; `words` is what it said."""

    def __init__(self, words: str) -> None:
        super().__init__(f"adb refused: {words}")
        self.words = words
