"""One SSH connection and its watch: who is silent for too long is gone, and everything that waits is told."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from typing import Any

from edgeflow.devices.transports.process import kill_group
from edgeflow.errors import DeviceError

DEAD_AFTER_S = 9.0
"""A link on which nothing was heard for this long, though it was asked, is lost."""

_TICK_S = 0.5
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

    def recv(self, size: int) -> bytes:
        try:
            data: bytes = self.inner.recv(size)
        except TimeoutError:
            raise
        except OSError as error:
            self.failure = error.strerror or str(error)
            raise
        self.received_bytes += len(data)
        return data

    def send(self, data: bytes) -> int:
        try:
            sent: int = self.inner.send(data)
        except TimeoutError:
            raise
        except OSError as error:
            self.failure = error.strerror or str(error)
            raise
        return sent

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
        return bool(self._connection.is_active()) and not self._closing.is_set()

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

        Counts ticks, not time: a process that was stopped for an hour must not find its link dead.
        """
        heard_bytes, silent_ticks = -1, 0
        dead_ticks = round(DEAD_AFTER_S / _TICK_S)
        while not self._closing.wait(_TICK_S) and self._connection.is_active():
            if self._wire.received_bytes != heard_bytes:
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
