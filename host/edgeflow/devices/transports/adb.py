"""The adb transport: an Android device through adb's server, by cable or network.

The server (the user's, or one started from the adb program of PATH or adbutils) is spoken to directly:
its own protocol tells the states apart and lets every wait have a limit, which the adb program does not.
"""

from __future__ import annotations

import os
import shlex
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from secrets import token_hex
from typing import BinaryIO

from edgeflow.devices.transports import adb_shell, adb_sync
from edgeflow.devices.transports.adb_finish import SERVICE, Finisher
from edgeflow.devices.transports.adb_link import AdbLink, LinkLost, Refused
from edgeflow.devices.transports.adb_server import AdbServer
from edgeflow.devices.transports.adb_shell import AdbChannel, Unfinished
from edgeflow.devices.transports.adb_states import READY, not_ready
from edgeflow.devices.transports.adb_wire import RemoteStat
from edgeflow.devices.transports.base import Completed, DeviceTimeout, ProgressFn
from edgeflow.errors import DeviceError, UsageError

_START_S = 15.0
_KILL_S = 8.0
_NEEDED = {"shell_v2": "Android 7", "stat_v2": "Android 8"}
_HASHED_BYTES = 32 << 20
_MISSING = (2, 20)  # ENOENT, ENOTDIR: Linux's numbers, which STA2 sends as they are


class AdbTransport:
    """Transport to one Android device, as adb's shell user. Needs Android 8 or newer.

    A push is checked by its size, and up to 32 MiB by SHA-256 too where the device has `sha256sum`. When the
    link was lost, the next operation reconnects, once; what was under way then has failed. While something
    waits, adbd is asked for a sign of life every few seconds, so that a dead link is noticed within 10 s.
    """

    def __init__(self, name: str, *, serial: str | None = None, address: str | None = None) -> None:
        """Finds the device: by serial, by host:port (connecting to it), or the only one there is.

        Raises DeviceError that names its state and the cure, ToolMissingError with no adb program.
        """
        self._name = name
        self._server = AdbServer.of_environment()
        self._wanted = (serial, address)
        self._serial = ""
        self._features: frozenset[str] = frozenset()
        self._channels: list[AdbChannel] = []
        self._finishers: list[Finisher] = []  # one for each push that was under way at once
        self._connect()

    @property
    def serial(self) -> str:
        """The device that was found, as `adb devices` lists it."""
        return self._serial

    def run(self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b"") -> Completed:
        deadline = time.monotonic() + timeout_s
        what = f"`{_short(argv)}` ran"
        with self._explaining(what), self._open(adb_shell.service(argv)) as link:
            try:
                return adb_shell.converse(link, argv, stdin, max(0.0, deadline - time.monotonic()))
            except Unfinished as error:
                if error.pid is not None:
                    self._kill_group(error.pid)
                raise DeviceTimeout(
                    f"{self._name}: `{_short(argv)}` did not end within {timeout_s:g} s",
                    hint="see whether the device is busy or hangs",
                ) from error

    def push(self, src: Path, dst: PurePosixPath, *, progress: ProgressFn | None = None) -> None:
        if not src.is_file():
            raise UsageError(f"{src}: no such file, cannot be pushed to {self._name}")
        part = dst.with_name(f".{dst.name}.{token_hex(6)}.part")
        try:
            with (
                self._explaining(f"{src.name} was pushed"),
                src.open("rb") as source,
                self._open("sync:") as link,
                self._finishing() as finisher,
            ):
                checksum = self._send(link, src, source, part, progress)
                wrong = finisher.finish(part, dst, checksum)
            if wrong:
                raise self._file_error(wrong, f"cannot write {dst}")
        except adb_sync.SyncFailed as error:
            self._remove(part)
            raise self._file_error(error.words, f"cannot write {dst}") from error
        except OSError as error:
            self._remove(part)
            raise UsageError(f"cannot read {src}: {error.strerror}") from error
        except LinkLost:
            raise  # adbd removes what it was writing when its connection ends
        except BaseException:
            self._remove(part)
            raise

    def pull(self, src: PurePosixPath, dst: Path, *, progress: ProgressFn | None = None) -> None:
        found = self._stat(src)
        if not stat.S_ISREG(found.mode):
            raise DeviceError(f"{self._name}: no such file: {src}")
        part = dst.with_name(f".{dst.name}.{token_hex(6)}.part")
        try:
            with self._explaining(f"{src.name} was pulled"), part.open("wb") as target:
                with self._open("sync:") as link:
                    got_bytes = adb_sync.receive_file(
                        link, src, target, total_bytes=found.size_bytes, progress=progress
                    )
                if got_bytes != found.size_bytes:
                    raise DeviceError(
                        f"{self._name}: {src} has {found.size_bytes} bytes but {got_bytes} arrived",
                        hint="it may still be written to; run the command again",
                    )
                target.flush()
                os.fsync(target.fileno())
            part.chmod(0o755 if found.mode & 0o100 else 0o644)
            part.replace(dst)
        except adb_sync.SyncFailed as error:
            raise self._file_error(error.words, f"cannot read {src}") from error
        except OSError as error:
            raise UsageError(
                f"cannot write {dst}: {error.strerror}", hint="name a folder that is writable and has room"
            ) from error
        finally:
            part.unlink(missing_ok=True)

    def file_size(self, path: PurePosixPath) -> int | None:
        found = self._stat(path)
        return found.size_bytes if stat.S_ISREG(found.mode) else None

    def mkdir(self, path: PurePosixPath) -> None:
        done = self.run(["mkdir", "-p", str(path)], timeout_s=_START_S)
        if done.exit_code != 0:
            raise self._file_error(done.stderr.decode("utf-8", "replace"), f"cannot create folder {path}")

    def open_channel(self, argv: Sequence[str]) -> AdbChannel:
        command = tuple(argv)
        with self._explaining(f"{command[0]} was started"):
            link = self._open(adb_shell.service(command, check=True))
            channel = AdbChannel(
                self._name, command, link, kill=self._kill_group, explain=self._explained
            )  # fmt: skip
            try:
                channel.await_start(_START_S)
            except BaseException:
                channel.abandon()
                raise
        self._channels = [known for known in self._channels if not known.closed]
        self._channels.append(channel)
        return channel

    def close(self) -> None:
        for channel in self._channels:
            channel.abandon()
        self._channels.clear()
        for finisher in self._finishers:
            finisher.close()
        self._finishers.clear()

    def _connect(self) -> None:
        """Finds the device and proves that its adbd answers. Raises DeviceError with the cure."""
        serial, address = self._wanted
        # Once found, "the only one" stays the same device, even when another is plugged in meanwhile.
        found = self._server.find(self._name, serial=serial or self._serial or None, address=address)
        self._serial = found.serial
        try:
            self._server.ping(found.serial)
        except DeviceError as error:
            if address is None:
                raise self._explained(error, "it was asked for a sign of life") from error
            self._server.disconnect(address)
            self._server.find(self._name, serial=None, address=address)
        self._features = self._server.features(self._serial)
        for feature, version in _NEEDED.items():
            if feature not in self._features:
                raise DeviceError(
                    f"{self._name}: its adbd has no {feature}; {version} or newer is needed",
                    hint="use a newer device",
                )

    def _open(self, service: str) -> AdbLink:
        """A service of the device; reconnects once, since nothing has begun yet. Raises DeviceError."""
        try:
            return self._server.open(self._serial, service, alive=self._alive)
        except DeviceError:
            self._connect()
        try:
            return self._server.open(self._serial, service, alive=self._alive)
        except Refused as error:
            raise DeviceError(
                f"{self._name}: adbd refuses {service.partition(':')[0]}: {error.words}",
                hint="restart the device, or: adb kill-server",
            ) from error

    @contextmanager
    def _finishing(self) -> Iterator[Finisher]:
        """The shell that ends pushes: the last push's, or one that starts while the file is sent."""
        finisher = self._finishers.pop() if self._finishers else None
        if finisher is not None and not finisher.idle:
            finisher.close()
            finisher = None
        if finisher is None:
            finisher = Finisher(self._server.begin(self._serial, SERVICE, alive=self._alive))
        try:
            yield finisher
        except BaseException:
            finisher.close()
            raise
        self._finishers.append(finisher)

    def _alive(self) -> None:
        self._server.ping(self._serial)

    def _send(
        self, link: AdbLink, src: Path, source: BinaryIO, part: PurePosixPath, progress: ProgressFn | None
    ) -> str:
        """Sends a file under a temporary name and checks its size there. Returns its SHA-256, or "-"."""
        total_bytes = os.fstat(source.fileno()).st_size
        sent = adb_sync.send_file(
            link,
            source,
            part,
            mode=0o755 if os.access(src, os.X_OK) else 0o644,
            hashed=total_bytes <= _HASHED_BYTES,
            progress=progress,
        )
        if sent.size_bytes != total_bytes:
            raise UsageError(f"{src} changed while it was pushed to {self._name}")
        arrived = adb_sync.remote_stat(link, part)
        if arrived.size_bytes != total_bytes:
            raise DeviceError(
                f"{self._name}: cannot write {part}: {arrived.size_bytes} of {total_bytes} bytes arrived",
                hint="run it again; if it stays so, try another cable or port",
            )
        return sent.sha256 or "-"

    def _stat(self, path: PurePosixPath) -> RemoteStat:
        with self._explaining(f"{path} was looked at"), self._open("sync:") as link:
            found = adb_sync.remote_stat(link, path)
        if found.errno and found.errno not in _MISSING:
            raise self._file_error(os.strerror(found.errno), f"cannot look at {path}")
        return found

    def _kill_group(self, pid: int) -> None:
        """Kills the group of a process that we started. Raises DeviceError when that cannot be done."""
        script = f"kill -9 -- -{pid} 2>/dev/null || kill -9 {pid} 2>/dev/null; :"
        argv = ["sh", "-c", script]
        service = adb_shell.service(argv)
        with (
            self._explaining(f"process {pid} was killed"),
            self._server.open(self._serial, service, alive=self._alive) as link,
        ):
            try:
                adb_shell.converse(link, argv, b"", _KILL_S)
            except Unfinished as error:
                raise DeviceTimeout(f"{self._name}: process {pid} could not be killed") from error

    def _remove(self, part: PurePosixPath) -> None:
        """Removes what a failed push left. Raises nothing: the error on its way is the cause."""
        argv = ["rm", "-f", str(part)]
        try:
            with self._server.open(self._serial, adb_shell.service(argv), timeout_s=_KILL_S) as link:
                adb_shell.converse(link, argv, b"", _KILL_S)
        except DeviceError:
            return

    @contextmanager
    def _explaining(self, what: str) -> Iterator[None]:
        """Turns what breaks inside into the error that names device, state and cure."""
        try:
            yield
        except DeviceError as error:
            named = self._explained(error, what)
            if named is error:
                raise
            raise named from error

    def _explained(self, error: DeviceError, what: str) -> DeviceError:
        """Asks the server what became of the device. Returns the error; raises nothing."""
        if error.message.startswith(f"{self._name}: "):
            return error
        if isinstance(error, DeviceTimeout):
            return DeviceTimeout(
                f"{self._name}: {error.message} while {what}", hint="see whether the device is busy or hangs"
            )
        if not isinstance(error, (LinkLost, Refused)):
            return DeviceError(f"{self._name}: {error.message}", hint=error.hint, detail=error.detail)
        try:
            listed = {device.serial: device for device in self._server.devices()}
        except DeviceError:
            return LinkLost(
                f"{self._name}: the adb server was stopped while {what}",
                hint="run it again; if it happens often, another program brings an adb of another version",
                detail=error.message,
            )
        device = listed.get(self._serial)
        if device is None:
            return LinkLost(
                f"{self._name}: {self._serial} disappeared while {what}",
                hint="see the cable or the network, and whether it restarted; then run it again",
                detail=error.message,
            )
        if device.state != READY:
            cause = not_ready(self._name, device)
            return LinkLost(f"{cause.message} (while {what})", hint=cause.hint, detail=error.message)
        return LinkLost(
            f"{self._name}: lost the link to {self._serial} while {what}: {error.message}",
            hint="see that it is on and still in the network; then run it again",
        )

    def _file_error(self, words: str, what: str) -> DeviceError:
        """From adbd's or a tool's words to the error of a file on the device."""
        text = words.strip().splitlines()[-1] if words.strip() else "no reason given"
        if "No space left" in text or "Disk quota" in text:
            return DeviceError(
                f"{self._name}: {what}: no space left", hint="free some space there, or set another work_dir"
            )
        for known in ("Permission denied", "Read-only file system", "Operation not permitted"):
            if known in text:
                return DeviceError(
                    f"{self._name}: {what}: {known.lower()}",
                    hint="set work_dir in devices.yaml to a folder of /data/local/tmp, where adb may write",
                    detail=words,
                )
        return DeviceError(
            f"{self._name}: {what}: {text}",
            hint="set work_dir in devices.yaml to a folder of /data/local/tmp",
        )


def _short(argv: Sequence[str]) -> str:
    line = " ".join(shlex.join(argv).split())
    return line if len(line) <= 80 else f"{line[:77]}..."
