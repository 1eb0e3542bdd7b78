"""adb's server on this computer: where it is, starting it, and what it knows of devices."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from edgeflow.devices.transports.adb_link import AdbLink, Alive, LinkLost, Refused
from edgeflow.devices.transports.adb_states import READY, choose, connect_failure
from edgeflow.devices.transports.adb_wire import ListedDevice, ProtocolError, parse_devices, request
from edgeflow.devices.transports.base import DeviceTimeout
from edgeflow.errors import DeviceError, ToolMissingError, UsageError

PING_S = 4.0
_REACH_S = 2.0
_ASK_S = 10.0
_START_S = 30.0
_CONNECT_S = 20.0
_OLDEST_VERSION = 41  # 1.0.41 (2018) brought the transport ids and the features that we use
_DEFAULT_PORT = 5037
_STARTING = threading.Lock()


@dataclass(frozen=True, slots=True)
class AdbServer:
    """An address of adb's server: a TCP host and port, or the path of a Unix socket."""

    host: str = "127.0.0.1"
    port: int = _DEFAULT_PORT
    path: str | None = None

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> AdbServer:
        """As adb itself finds it: ADB_SERVER_SOCKET, else ANDROID_ADB_SERVER_ADDRESS and _PORT, else 5037.

        Raises UsageError for a value that is no address.
        """
        if name := environment.get("ADB_SERVER_SOCKET"):
            return _parse_socket_name(name)
        host = environment.get("ANDROID_ADB_SERVER_ADDRESS", "127.0.0.1")
        port = environment.get("ANDROID_ADB_SERVER_PORT", str(_DEFAULT_PORT))
        return cls(host, _port(port, "ANDROID_ADB_SERVER_PORT"))

    def __str__(self) -> str:
        return f"the adb server at {self.path or f'{self.host}:{self.port}'}"

    @property
    def is_local(self) -> bool:
        """Whether the server runs on this computer, and so sees the network as we do."""
        return self.path is not None or self.host in ("127.0.0.1", "localhost", "::1")

    def start(self) -> None:
        """Starts the server unless one answers. Raises DeviceError, ToolMissingError."""
        if self._runs():
            return
        with _STARTING:  # phones of a sweep begin at once, and of two starts one fails
            if self._runs():
                return
            failure = self._run_start()
        if not self._runs() and failure is not None:  # else another process was faster
            raise failure
        self._check_version()

    def _runs(self) -> bool:
        """Whether a server answers. Raises DeviceError for another program, and where none can be started."""
        try:
            self._check_version()
        except _NoServer as error:
            if self.path or not self.is_local:
                hint = "start it there, or unset ADB_SERVER_SOCKET"
                raise DeviceError(error.message, hint=hint) from error
            return False
        return True

    def devices(self) -> list[ListedDevice]:
        """All that the server lists, in whatever state. Raises DeviceError."""
        return parse_devices(self.query("host:devices-l"))

    def features(self, serial: str) -> frozenset[str]:
        """What the device's adbd offers. Raises DeviceError."""
        return frozenset(self.query(f"host-serial:{serial}:features").split(","))

    def query(self, service: str, *, timeout_s: float = _ASK_S) -> str:
        """One question to the server itself. Raises DeviceError, Refused for its FAIL."""
        with self.link() as link:
            link.ask(service, timeout_s)
            return link.block(timeout_s)

    def open(
        self, serial: str, service: str, *, alive: Alive | None = None, timeout_s: float = _ASK_S
    ) -> AdbLink:
        """A service of the device's adbd, once it has answered. Raises DeviceError, Refused."""
        link = self.begin(serial, service, alive=alive, timeout_s=timeout_s)
        try:
            link.confirm(service, timeout_s)
        except BaseException:
            link.close()
            raise
        return link

    def begin(
        self, serial: str, service: str, *, alive: Alive | None = None, timeout_s: float = _ASK_S
    ) -> AdbLink:
        """A service that adbd was asked for: `confirm` awaits its answer. Raises DeviceError, Refused."""
        link = self.link(alive=alive)
        try:
            link.ask(f"host:transport:{serial}", timeout_s)
            link.send(request(service), timeout_s)
        except BaseException:
            link.close()
            raise
        return link

    def ping(self, serial: str) -> None:
        """A sign of life from adbd itself; the server's list does not notice a dead link for minutes.

        Raises DeviceError.
        """
        try:
            self.open(serial, "sync:", timeout_s=PING_S).close()
        except DeviceTimeout as error:
            raise LinkLost(f"{serial} gives no sign of life for {PING_S:g} s") from error

    def connect(self, name: str, address: str) -> None:
        """Connects the server to a device on the network, anew where it is connected but not ready.

        Raises DeviceError with the cure.
        """
        known = {device.serial: device.state for device in self.devices()}
        if known.get(address) in (READY, "authorizing"):
            return
        if address in known:
            # Of an offline device the server would only say "already connected", and an unauthorized one
            # may have been allowed since.
            self.disconnect(address)
        if self.is_local:
            _check_reachable(name, address)
        try:
            answer = self.query(f"host:connect:{address}", timeout_s=_CONNECT_S)
        except Refused as error:
            answer = error.words
        except DeviceTimeout as error:
            raise connect_failure(name, address, "timed out") from error
        if answer.startswith(("connected to", "already connected")):
            return
        states = {device.serial: device.state for device in self.devices()}
        if states.get(address) in ("unauthorized", "authorizing"):
            return  # it is there: `choose` tells that better
        raise connect_failure(name, address, answer)

    def disconnect(self, address: str) -> None:
        """Forgets a device on the network. Raises DeviceError."""
        try:
            self.query(f"host:disconnect:{address}")
        except Refused as error:
            if "no such device" not in error.words:
                raise

    def find(self, name: str, *, serial: str | None, address: str | None) -> ListedDevice:
        """The device that an entry of devices.yaml means, ready to be used. Raises DeviceError."""
        self.start()
        if address is not None:
            self.connect(name, address)
        return choose(name, self.devices(), serial=address or serial)

    def link(self, *, alive: Alive | None = None) -> AdbLink:
        """A connection to the server. Raises DeviceError when none answers."""
        try:
            if self.path:
                connection = socket.socket(socket.AF_UNIX)
                connection.settimeout(PING_S)
                try:
                    connection.connect(self.path)
                except OSError:
                    connection.close()
                    raise
            else:
                connection = socket.create_connection((self.host, self.port), PING_S)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError as error:
            raise DeviceError(f"{self} does not answer", hint="stop it: adb kill-server") from error
        except OSError as error:
            raise _NoServer(
                f"{self} does not run ({error.strerror or error})", hint="start it: adb start-server"
            ) from error
        return AdbLink(connection, str(self), alive=alive)

    def _check_version(self) -> None:
        try:
            version = int(self.query("host:version"), 16)
        except DeviceTimeout as error:
            hint = "adb kill-server, or see what else uses its port"
            raise DeviceError(error.message, hint=hint) from error
        except (ProtocolError, LinkLost, Refused, ValueError) as error:
            raise DeviceError(
                f"{self} is no adb server: {error}", hint="set ANDROID_ADB_SERVER_PORT to adb's port"
            ) from error
        if version < _OLDEST_VERSION:
            raise DeviceError(
                f"{self} is adb 1.0.{version}; 1.0.{_OLDEST_VERSION} or newer is needed",
                hint="adb kill-server, then update the Android platform tools (or remove that adb from PATH)",
            )

    def _run_start(self) -> DeviceError | None:
        """Runs adb to start it; what adb said, where it failed. Raises DeviceError, ToolMissingError."""
        program = adb_program()
        environment = {**os.environ, "ANDROID_ADB_SERVER_PORT": str(self.port)}
        # A file, not a pipe: the server that it leaves running would keep a pipe open.
        with tempfile.TemporaryFile() as words:
            try:
                code = subprocess.run(
                    [program, "-P", str(self.port), "start-server"],
                    stdin=subprocess.DEVNULL, stdout=words, stderr=words,
                    env=environment, timeout=_START_S, check=False,
                ).returncode  # fmt: skip
            except subprocess.TimeoutExpired as error:
                raise DeviceError(
                    f"{program} start-server did not end within {_START_S:g} s",
                    hint="run it by hand to see why: adb start-server",
                ) from error
            except OSError as error:
                raise ToolMissingError(
                    f"{program} cannot be started: {error.strerror}",
                    hint="install the Android platform tools",
                ) from error
            if code:
                words.seek(0)
                text = words.read().decode("utf-8", "replace").strip()
                last = text.splitlines()[-1] if text else f"exit code {code}"
                return DeviceError(
                    f"{self} cannot be started: {last}",
                    detail=text,
                    hint="see what else uses its port, or set ANDROID_ADB_SERVER_PORT",
                )
        return None


def _check_reachable(name: str, address: str) -> None:
    """Raises DeviceError unless the port can be connected to: the server would take 10 s to say less."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACH_S).close()
    except TimeoutError as error:
        raise connect_failure(name, address, "timed out") from error
    except socket.gaierror as error:
        raise connect_failure(name, address, "cannot resolve host") from error
    except OSError as error:
        raise connect_failure(name, address, error.strerror or str(error)) from error


def adb_program() -> str:
    """The adb program: ADBUTILS_ADB_PATH, else the one on PATH, else the one that adbutils brings.

    Raises ToolMissingError.
    """
    from adbutils import adb_path
    from adbutils.errors import AdbError

    try:
        return str(adb_path())
    except AdbError as error:
        raise ToolMissingError(
            "there is no adb program on PATH or in adbutils",
            hint="install the Android platform tools (Debian: apt install adb; macOS: brew install "
            "android-platform-tools)",
        ) from error


class _NoServer(DeviceError):
    """Nothing listens at the server's address."""


def _parse_socket_name(name: str) -> AdbServer:
    kind, _, rest = name.partition(":")
    if kind == "localfilesystem" and rest:
        return AdbServer(path=rest)
    if kind == "tcp" and rest:
        host, _, port = rest.rpartition(":")
        return AdbServer(host.strip("[]") or "127.0.0.1", _port(port, "ADB_SERVER_SOCKET"))
    raise UsageError(
        f"ADB_SERVER_SOCKET={name}: expected tcp:PORT, tcp:HOST:PORT or localfilesystem:PATH",
        hint="unset it to use the server on this computer",
    )


def _port(text: str, variable: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise UsageError(f"{variable}: expected a port from 1 to 65535, got '{text}'")
    return int(text)
