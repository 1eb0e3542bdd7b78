"""Frames over file descriptors and sockets."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from collections import deque
from typing import Deque, Optional

from edgeflow_agent.wire import Frame, FrameParser, encode_parts

CHUNK_BYTES = 1 << 16


class Stream:
    """Reads and writes whole frames; many threads may write, one reads."""

    def __init__(self) -> None:
        self._parser = FrameParser()
        self._ready: Deque[Frame] = deque()
        self._write_lock = threading.Lock()

    def read_frame(self) -> Optional[Frame]:
        """The next frame, or None at the end of input. Raises WireError, also where input ends in a frame."""
        while not self._ready:
            data = self._read()
            if not data:
                self._parser.finish()
                return None
            self._ready.extend(self._parser.feed(data))
        return self._ready.popleft()

    def write_frame(self, frame: Frame) -> None:
        """Writes one frame whole. Raises OSError when the peer is gone, WireError on what breaks a limit."""
        head, body = encode_parts(frame)
        with self._write_lock:
            self._write(memoryview(head))
            if len(body):
                self._write(memoryview(body).cast("B"))

    def close(self) -> None:
        """Ends both directions; a thread that reads sees the end of input."""
        raise NotImplementedError

    def _read(self) -> bytes:
        raise NotImplementedError

    def _write(self, data: memoryview) -> None:
        raise NotImplementedError


class SocketStream(Stream):
    """Frames over a connected socket."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self._socket = connection

    def close(self) -> None:
        with contextlib.suppress(OSError):  # the peer may be faster
            self._socket.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Closes the descriptor. Only the reading thread may: another would free a number still in use."""
        self._socket.close()

    def _read(self) -> bytes:
        return self._socket.recv(CHUNK_BYTES)

    def _write(self, data: memoryview) -> None:
        self._socket.sendall(data)


class Waker:
    """Ends a wait for input, from any thread and from a signal; once woken it stays so."""

    def __init__(self) -> None:
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self.write_fd, False)  # signal.set_wakeup_fd asks for that

    def wake(self) -> None:
        """Ends the wait of now and every later one."""
        with contextlib.suppress(BlockingIOError):  # full of earlier calls: it is awake
            os.write(self.write_fd, b"x")

    def wait(self, fd: int) -> bool:
        """Blocks until `fd` can be read, or a wake: False."""
        ready = select.select([fd, self._read_fd], [], [])[0]
        return self._read_fd not in ready


class PipeStream(Stream):
    """Frames over two file descriptors: the stdin and stdout of a one-shot core."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        super().__init__()
        self._read_fd = read_fd
        self._write_fd = write_fd
        self.waker = Waker()

    def close(self) -> None:
        self.waker.wake()

    def _read(self) -> bytes:
        return os.read(self._read_fd, CHUNK_BYTES) if self.waker.wait(self._read_fd) else b""

    def _write(self, data: memoryview) -> None:
        while len(data):
            data = data[os.write(self._write_fd, data) :]
