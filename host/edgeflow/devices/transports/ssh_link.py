"""One SSH connection and its watch: who is silent for too long is gone, and everything that waits is told."""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import threading
from typing import Any

from edgeflow.devices.transports.process import kill_group
from edgeflow.errors import DeviceError

DEAD_AFTER_S = 9.0
"""A link on which nothing was heard for this long, though it was asked, is lost."""

_TICK_S = 0.5
_PROGRESS_BYTES = 4096  # more than keep-alives weigh, less than half a second of any link that is of use
_BYTES_ACKED = struct.Struct("=120xQ")  # struct tcp_info of linux/tcp.h, since Linux 4.1
_OPEN_TIMEOUT_S = 20.0
_KEEPALIVE_REQUEST = "keepalive@openssh.com"  # PROTOCOL of OpenSSH; every server answers, be it "no"


class LinkLost(DeviceError):
    """The connection to the device broke. The next operation connects anew."""


class CountingSocket:
    """A socket, or a paramiko channel through a jump host, that counts what it hears.

    `helper` is the process at the socket's other end, a ProxyCommand; it is ended with the socket.
    """

    def __init__(self, inner: Any, helper: subprocess.Popen[bytes] | None = None) -> None:
        self.inner = inner
        self._helper = helper
        self.received_bytes = 0
        self.failure = ""
        self.ended = False

    def recv(self, size: int) -> bytes:
        try:
            data: bytes = self.inner.recv(size)
        except TimeoutError:
            raise
        except OSError as error:
            self.failure, self.ended = error.strerror or str(error), True
            raise
        self.received_bytes += len(data)
        self.ended = self.ended or not data
        return data

    def send(self, data: bytes) -> int:
        try:
            sent: int = self.inner.send(data)
        except TimeoutError:
            raise
        except OSError as error:
            self.failure, self.ended = error.strerror or str(error), True
            raise
        return sent

    def acknowledged_bytes(self) -> int:
        """How many bytes the other end's kernel took from us; 0 where that is not told."""
        if not isinstance(self.inner, socket.socket) or not hasattr(socket, "TCP_INFO"):
            return 0
        try:
            told = self.inner.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.size)
        except OSError:
            return 0  # a ProxyCommand's, or closed
        return int(_BYTES_ACKED.unpack(told)[0]) if len(told) == _BYTES_ACKED.size else 0

    def settimeout(self, seconds: float | None) -> None:
        self.inner.settimeout(seconds)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            if isinstance(self.inner, socket.socket):
                self.inner.shutdown(socket.SHUT_RDWR)
        self.inner.close()
        if self._helper is not None:
            kill_group(self._helper)

    @property
    def _closed(self) -> bool:
        # paramiko looks at this to tell whether its socket still lives.
        closed = getattr(self.inner, "_closed", None)
        return bool(self.inner.closed if closed is None else closed)


class SshLink:
    """A logged-in connection. Any thread may use it; `close` closes the hops that led to it too."""

    def __init__(
        self, connection: Any, wire: CountingSocket, device: str, keepalive_s: float, via: SshLink | None
    ) -> None:
        self._connection = connection
        self._wire = wire
        self._device = device
        self._via = via
        self._lost = ""
        self._closing = threading.Event()
        self._keepalive_ticks = max(1, round(keepalive_s / _TICK_S))
        self._watch = threading.Thread(target=self._watch_link, name="edgeflow-ssh-watch", daemon=True)
        self._watch.start()

    @property
    def alive(self) -> bool:
        # paramiko closes the channels of a connection before it calls the connection dead: whoever learns of
        # a channel's end by then must not take it for the end of a process.
        broken = self._wire.ended or self._lost or self._failed()
        return bool(self._connection.is_active()) and not broken and not self._closing.is_set()

    def _failed(self) -> bool:
        import paramiko

        # A refused session is kept there too for a moment, and breaks nothing.
        saved = self._connection.saved_exception
        return saved is not None and not isinstance(saved, paramiko.ChannelException)

    @property
    def device(self) -> str:
        return self._device

    def open_session(self) -> Any:
        """A new paramiko session channel. Raises LinkLost, and DeviceError where the server refuses one."""
        return self._open("session", None, "open a session")

    def open_tunnel(self, host: str, port: int) -> Any:
        """A paramiko channel to `host` as this machine sees it. Raises LinkLost and DeviceError."""
        return self._open("direct-tcpip", (host, port), f"reach {host} port {port} from it")

    def lost(self, doing: str) -> LinkLost:
        """The error for a link that broke while `doing`."""
        reason = self._lost or self._wire.failure or "it closed the connection"
        return LinkLost(
            f"{self._device}: the link was lost while {doing}: {reason}",
            hint="see that it is on and on the network; the next command connects anew",
        )

    def close(self) -> None:
        """May be called twice."""
        self._closing.set()
        self._connection.close()
        if self._via is not None:
            self._via.close()

    def _open(self, kind: str, destination: tuple[str, int] | None, what: str) -> Any:
        import paramiko

        try:
            source = None if destination is None else ("127.0.0.1", 0)
            return self._connection.open_channel(kind, destination, source, timeout=_OPEN_TIMEOUT_S)
        except paramiko.ChannelException as error:
            raise DeviceError(
                f"{self._device}: the SSH server would not {what}: {error.text}",
                hint="see MaxSessions and AllowTcpForwarding in its sshd_config",
            ) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            if self.alive:
                raise DeviceError(f"{self._device}: the SSH server did not {what}: {error}") from error
            raise self.lost(f"trying to {what}") from error

    def _watch_link(self) -> None:
        """Asks for a sign of life when nothing was heard for a while; gives the link up when none comes.

        Counts ticks, not time: a process that was stopped for an hour must not find its link dead. On a slow
        link the answer waits behind what we send, so that the other end takes our data is a sign of life too.
        """
        heard_bytes, taken_bytes, silent_ticks = -1, 0, 0
        dead_ticks = round(DEAD_AFTER_S / _TICK_S)
        while not self._closing.wait(_TICK_S) and self._connection.is_active():
            before, taken_bytes = taken_bytes, self._wire.acknowledged_bytes()
            if self._wire.received_bytes != heard_bytes or taken_bytes - before >= _PROGRESS_BYTES:
                heard_bytes, silent_ticks = self._wire.received_bytes, 0
                continue
            silent_ticks += 1
            if silent_ticks >= dead_ticks:
                self._lost = f"nothing was heard from it for {DEAD_AFTER_S:g} s"
                self._connection.close()
            elif silent_ticks % self._keepalive_ticks == 0:
                # On a thread of its own: on a stuck link, sending blocks.
                threading.Thread(target=self._ask, name="edgeflow-ssh-keepalive", daemon=True).start()

    def _ask(self) -> None:
        with contextlib.suppress(Exception):  # what went wrong shows as silence, which the watch judges
            self._connection.global_request(_KEEPALIVE_REQUEST, wait=True)
