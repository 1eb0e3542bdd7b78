"""The local transport: this machine as a device, with real processes and real files."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from edgeflow.devices.transports.base import Completed, DeviceTimeout, ProgressFn
from edgeflow.devices.transports.process import ProcessChannel, kill_group, shell_exit_code, start
from edgeflow.errors import DeviceError, EdgeflowError, UsageError

_CHUNK_BYTES = 1 << 20


class LocalTransport:
    """Transport to this machine. Commands start in `/`, in a process group of their own."""

    def __init__(self, name: str = "local") -> None:
        self._name = name
        self._channels: list[ProcessChannel] = []

    def run(self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b"") -> Completed:
        command = tuple(argv)
        try:
            process = start(command)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return Completed(command, 127, b"", f"{command[0]}: not found".encode())
            if error.errno in (errno.EACCES, errno.ENOEXEC):
                return Completed(command, 126, b"", f"{command[0]}: {error.strerror}".encode())
            raise DeviceError(f"{self._name}: cannot start {command[0]}: {error.strerror}") from error
        try:
            stdout, stderr = process.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise DeviceTimeout(
                f"{self._name}: `{' '.join(command)}` did not end within {timeout_s:g} s",
                hint="see whether the device is busy or hangs",
            ) from error
        finally:
            # Also on Ctrl-C: nothing that we started outlives us.
            kill_group(process)
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        return Completed(command, shell_exit_code(process.returncode), stdout, stderr)

    def push(self, src: Path, dst: PurePosixPath, *, progress: ProgressFn | None = None) -> None:
        if not src.is_file():
            raise UsageError(f"{src}: no such file, cannot be pushed to {self._name}")
        self.mkdir(dst.parent)
        try:
            _copy_atomically(src, Path(dst), progress)
        except OSError as error:
            raise self._device_error(error, f"cannot write {dst}") from error

    def pull(self, src: PurePosixPath, dst: Path, *, progress: ProgressFn | None = None) -> None:
        if not Path(src).is_file():
            raise DeviceError(f"{self._name}: no such file: {src}")
        try:
            _copy_atomically(Path(src), dst, progress)
        except OSError as error:
            if error.filename == str(src):
                raise self._device_error(error, f"cannot read {src}") from error
            raise UsageError(
                f"cannot write {dst}: {error.strerror}", hint="name a folder that is writable and has room"
            ) from error

    def file_size(self, path: PurePosixPath) -> int | None:
        local = Path(path)
        try:
            return local.stat().st_size if local.is_file() else None
        except OSError as error:
            raise self._device_error(error, f"cannot look at {path}") from error

    def mkdir(self, path: PurePosixPath) -> None:
        try:
            Path(path).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._device_error(error, f"cannot create folder {path}") from error

    def open_channel(self, argv: Sequence[str]) -> ProcessChannel:
        command = tuple(argv)
        try:
            channel = ProcessChannel(self._name, start(command))
        except OSError as error:
            raise DeviceError(f"{self._name}: cannot start {command[0]}: {error.strerror}") from error
        self._channels = [known for known in self._channels if not known.closed]
        self._channels.append(channel)
        return channel

    def close(self) -> None:
        for channel in self._channels:
            channel.kill()
            channel.close()
        self._channels.clear()

    def _device_error(self, error: OSError, what: str) -> EdgeflowError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return DeviceError(
                f"{self._name}: {what}: no space left", hint="free some space, or set another work_dir for it"
            )
        return DeviceError(
            f"{self._name}: {what}: {error.strerror}", hint="set a writable work_dir for it in devices.yaml"
        )


def _copy_atomically(src: Path, dst: Path, progress: ProgressFn | None) -> None:
    """Copies with temporary name, fsync, size check and rename. Raises OSError, leaving nothing behind."""
    part = dst.with_name(f".{dst.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        with src.open("rb") as source, part.open("wb") as target:
            total_bytes = os.fstat(source.fileno()).st_size
            done_bytes = 0
            while chunk := source.read(_CHUNK_BYTES):
                target.write(chunk)
                done_bytes += len(chunk)
                if progress is not None:
                    progress(done_bytes, total_bytes)
            target.flush()
            os.fsync(target.fileno())
            if (written_bytes := os.fstat(target.fileno()).st_size) != total_bytes:
                raise OSError(errno.EIO, f"{src} has {total_bytes} bytes but {written_bytes} arrived")
        part.chmod(0o755 if os.access(src, os.X_OK) else 0o644)
        part.replace(dst)
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(dst.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
