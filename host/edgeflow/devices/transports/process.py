"""A channel to a process of this machine; also the near end of transports that start a client program."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Self

from edgeflow.devices.transports.base import ChannelClosed, DeviceTimeout
from edgeflow.errors import DeviceError

_TAIL_BYTES = 16 << 10
_REAP_S = 5.0


def start(argv: Sequence[str]) -> subprocess.Popen[bytes]:
    """Starts a process with three pipes, in a session of its own so that the terminal's Ctrl-C is ours
    to handle and its whole group can be killed. Raises OSError."""
    return subprocess.Popen(
        list(argv),
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        start_new_session=True,
    )


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kills the process and its group, and reaps it; does nothing once it was reaped.

    Raises DeviceTimeout for a process that the kernel does not let go of (a stuck disk or driver).
    """
    if process.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        process.wait(_REAP_S)
    except subprocess.TimeoutExpired as error:
        raise DeviceTimeout(f"process {process.pid} does not end though it was killed") from error


def shell_exit_code(return_code: int) -> int:
    """Popen's return code as a shell tells it: 128 + N for signal N."""
    return 128 - return_code if return_code < 0 else return_code


class ProcessChannel:
    """Channel over the pipes of a started process. Its standard error is drained all the time."""

    def __init__(self, device: str, process: subprocess.Popen[bytes]) -> None:
        self._device = device
        self._process = process
        self._stdin = _pipe(process.stdin)
        self._stdout = _pipe(process.stdout)
        self._stderr = _pipe(process.stderr)
        os.set_blocking(self._stdin.fileno(), False)
        self._readable = select.poll()
        self._readable.register(self._stdout, select.POLLIN)
        self._writable = select.poll()
        self._writable.register(self._stdin, select.POLLOUT)
        self._ended = False
        self._tail = bytearray()
        self._tail_lock = threading.Lock()
        self._drain = threading.Thread(target=self._drain_stderr, name="edgeflow-stderr", daemon=True)
        self._drain.start()

    def read(self, max_bytes: int, *, timeout_s: float) -> bytes:
        if not self._readable.poll(timeout_s * 1000):
            raise DeviceTimeout(
                f"{self._device}: no answer from {self._program} for {timeout_s:g} s",
                detail=self.stderr_tail(),
            )
        data = os.read(self._stdout.fileno(), max_bytes)
        self._ended = not data
        return data

    def write(self, data: bytes | bytearray | memoryview, *, timeout_s: float) -> None:
        rest = memoryview(data).cast("B")
        while rest:
            if not self._writable.poll(timeout_s * 1000):
                raise DeviceTimeout(
                    f"{self._device}: {self._program} took no input for {timeout_s:g} s",
                    detail=self.stderr_tail(),
                )
            try:
                rest = rest[os.write(self._stdin.fileno(), rest) :]
            except BlockingIOError:
                continue  # poll may promise more room than this write needs
            except BrokenPipeError as error:
                raise ChannelClosed(
                    f"{self._device}: {self._program} ended while it was written to",
                    detail=self.stderr_tail(),
                ) from error

    def close(self, *, timeout_s: float = 5.0) -> int:
        self._stdin.close()
        deadline = time.monotonic() + timeout_s
        while self._process.poll() is None and time.monotonic() < deadline:
            self._discard_output(deadline)
        kill_group(self._process)
        # A grandchild may still hold the pipe, so the thread is not waited for without a limit.
        self._drain.join(_REAP_S)
        self._stdout.close()
        if not self._drain.is_alive():
            self._stderr.close()
        return shell_exit_code(self._process.returncode)

    def kill(self) -> None:
        kill_group(self._process)

    def stderr_tail(self) -> str:
        if self._ended or self._process.poll() is not None:
            self._drain.join(1.0)  # its last words may still be in the pipe
        with self._tail_lock:
            return self._tail.decode("utf-8", "replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.kill()
        self.close()

    @property
    def closed(self) -> bool:
        """Whether `close` ran."""
        return self._stdout.closed

    @property
    def _program(self) -> str:
        args = self._process.args
        return str(args[0]) if isinstance(args, list) else str(args)

    def _discard_output(self, deadline: float) -> None:
        """Waits for the process to exit while reading what it still prints: a full pipe would stop it."""
        if self._stdout.closed or not self._readable.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return
        if not os.read(self._stdout.fileno(), 1 << 16):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(max(0.0, deadline - time.monotonic()))

    def _drain_stderr(self) -> None:
        while chunk := os.read(self._stderr.fileno(), 4096):
            with self._tail_lock:
                self._tail += chunk
                del self._tail[:-_TAIL_BYTES]


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise DeviceError("a channel's process must be started with pipes")
    return stream
