"""Files over SSH: atomic pushes that continue after a broken link, pulls, and why a write was refused."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shlex
import threading
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from edgeflow.devices.transports.base import Completed, ProgressFn
from edgeflow.devices.transports.ssh_link import LinkLost
from edgeflow.devices.transports.ssh_sftp import (
    CREATE,
    NEW,
    NO_SUCH_FILE,
    READ,
    WRITE,
    Sftp,
    SftpError,
)
from edgeflow.errors import DeviceError, UsageError

RESUME_FROM_BYTES = 4 << 20
"""Smaller files are sent anew after a broken link; larger ones go on where they stopped."""

_CHUNK_BYTES = 1 << 20
_HASH_TIMEOUT_S = 300.0
_RENAME_TIMEOUT_S = 60.0
_EXPLAIN_TIMEOUT_S = 20.0

RunFn = Callable[[list[str], float], Completed]
"""Runs a command on the device: (argv, timeout in seconds)."""

# SFTP says "Failure" for a full disk, a quota and a read-only file system alike; a tool's words do not.
# More than one SFTP request's worth: a disk is full for that one when a little room is left, too.
_TRY_TO_WRITE = """\
export LC_ALL=C
try="$1/.edgeflow-try.$$"
dd if=/dev/urandom of="$try" bs=65536 count=16 2>&1
rm -f "$try"
"""
_REASONS = (
    ("no space left", "no space left", "free some space, or set another work_dir for it"),
    ("quota exceeded", "its disk quota is used up", "free some space, or set another work_dir for it"),
    ("read-only file system", "read-only file system", "set a writable work_dir for it in devices.yaml"),
    ("permission denied", "permission denied", "set a writable work_dir for it in devices.yaml"),
    ("not a directory", "a file is in the place of a folder", "set another work_dir for it in devices.yaml"),
    ("file exists", "a file is in the place of a folder", "set another work_dir for it in devices.yaml"),
)


def push_file(
    sftp: Sftp, run: RunFn, device: str, src: Path, dst: PurePosixPath, progress: ProgressFn | None
) -> None:
    """Copies `src` to `dst` on the device as Transport.push tells; the folder must exist.

    A large file goes to a name that holds its sha256. If the link breaks it stays, and the next push of the
    same content goes on there, after sha256sum on the device confirmed what is there (without that tool it
    starts anew). Two pushes of one content at a time may meet there: a part is never cut short, and both
    write the same bytes. Raises DeviceError, LinkLost; UsageError for a source that cannot be read.
    """
    part, done_bytes = dst, 0
    try:
        with _open_source(src, device) as source:
            total_bytes = os.fstat(source.fileno()).st_size
            part = _part_of(dst, secrets.token_hex(8))
            if total_bytes >= RESUME_FROM_BYTES:
                left = _part_of(dst, _prefix(source, total_bytes)[:16])
                found = _left_there(sftp, run, left, source, total_bytes)
                if found is not None:
                    part, done_bytes = left, found
            source.seek(done_bytes)
            report = _Report(progress, done_bytes, total_bytes)
            handle = sftp.open(str(part), WRITE | (0 if done_bytes else CREATE | NEW))
            sftp.write_from(handle, source, done_bytes, report)
            sftp.chmod(handle, 0o755 if os.access(src, os.X_OK) else 0o644)
            if sftp.can_fsync:
                sftp.fsync(handle)
            arrived_bytes = sftp.fstat(handle).size_bytes
            sftp.close_handle(handle)
        if arrived_bytes != total_bytes:
            raise DeviceError(
                f"{device}: {src} has {total_bytes} bytes but {arrived_bytes} arrived",
                hint="see that nothing changes the file meanwhile, and try again",
            )
        _put_in_place(sftp, run, device, part, dst)
    except SftpError as error:
        # Before the part goes, or a full disk is no longer full.
        reason, hint = _explain(run, dst.parent, error)
        _remove(run, part, dst)
        raise DeviceError(
            f"{device}: cannot write {dst}: {reason}", hint=hint, detail=f"SFTP: {error}"
        ) from error
    except LinkLost:
        raise  # the part stays, for the next push
    except OSError as error:
        _remove(run, part, dst)
        raise UsageError(f"{src}: {error.strerror}, cannot be read to its end") from error
    except BaseException:
        _remove(run, part, dst)
        raise


def pull_file(sftp: Sftp, device: str, src: PurePosixPath, dst: Path, progress: ProgressFn | None) -> None:
    """Copies a file from the device, atomically. Raises DeviceError; UsageError for a bad `dst`."""
    try:
        found = sftp.stat(str(src))
        if not found.is_file:
            raise SftpError(NO_SUCH_FILE, "not a file")
        handle = sftp.open(str(src), READ)
    except SftpError as error:
        if error.code == NO_SUCH_FILE:
            raise DeviceError(f"{device}: no such file: {src}") from error
        raise DeviceError(f"{device}: cannot read {src}: {str(error).lower()}") from error
    part = dst.with_name(f".{dst.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        with part.open("wb") as target:
            report = _Report(progress, 0, found.size_bytes)
            got_bytes = sftp.read_into(handle, target, found.size_bytes, report)
            target.flush()
            os.fsync(target.fileno())
        if got_bytes != found.size_bytes:
            raise DeviceError(f"{device}: {src} has {found.size_bytes} bytes but {got_bytes} arrived")
        sftp.close_handle(handle)
        part.chmod(0o755 if found.mode & 0o111 else 0o644)
        part.replace(dst)
    except SftpError as error:
        raise DeviceError(f"{device}: cannot read {src}: {str(error).lower()}") from error
    except OSError as error:
        raise UsageError(
            f"cannot write {dst}: {error.strerror}", hint="name a folder that is writable and has room"
        ) from error
    finally:
        with contextlib.suppress(OSError):  # the folder itself may not be there
            part.unlink(missing_ok=True)


def make_folder(run: RunFn, device: str, path: PurePosixPath) -> None:
    """Creates the folder and its parents. Raises DeviceError with the reason."""
    done = run(["env", "LC_ALL=C", "mkdir", "-p", str(path)], _EXPLAIN_TIMEOUT_S)
    if done.exit_code != 0:
        words = done.stderr.decode("utf-8", "replace").strip()
        reason, hint = _reason(words) or (words.rpartition("\n")[2], "set a writable work_dir for it")
        raise DeviceError(f"{device}: cannot create folder {path}: {reason}", hint=hint, detail=words)


class _Report:
    """Adds up what was acknowledged and tells it."""

    def __init__(self, progress: ProgressFn | None, done_bytes: int, total_bytes: int) -> None:
        self._progress = progress
        self._done_bytes = done_bytes
        self._total_bytes = total_bytes

    def __call__(self, count: int) -> None:
        self._done_bytes += count
        if self._progress is not None:
            self._progress(self._done_bytes, self._total_bytes)


def _open_source(src: Path, device: str) -> BinaryIO:
    try:
        return src.open("rb")
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise UsageError(f"{src}: no such file, cannot be pushed to {device}") from error
        raise UsageError(f"{src}: {error.strerror}, cannot be pushed to {device}") from error


def _part_of(dst: PurePosixPath, key: str) -> PurePosixPath:
    return dst.with_name(f".{dst.name[:200]}.{key}.part")


def _left_there(
    sftp: Sftp, run: RunFn, part: PurePosixPath, source: BinaryIO, total_bytes: int
) -> int | None:
    """How many right bytes a broken push left in `part`: 0 when nothing is there (any more).

    None while another push writes there.
    """
    size_bytes = _size(sftp, part)
    if size_bytes == 0:
        return None  # just begun by another, or the trace of one: too little to look into
    if size_bytes is None:
        return 0
    done = run(["sha256sum", str(part)], _HASH_TIMEOUT_S)
    if _size(sftp, part) != size_bytes:
        return None
    told = done.stdout[:64].decode("ascii", "replace")
    if size_bytes <= total_bytes and told == _prefix(source, size_bytes):
        return size_bytes
    _remove(run, part, part.parent)
    return 0


def _size(sftp: Sftp, path: PurePosixPath) -> int | None:
    try:
        return sftp.stat(str(path)).size_bytes
    except SftpError as error:
        if error.code == NO_SUCH_FILE:
            return None
        raise


def _prefix(source: BinaryIO, size_bytes: int) -> str:
    """The sha256 of the first bytes of a file."""
    digest = hashlib.sha256()
    source.seek(0)
    while size_bytes > 0 and (chunk := source.read(min(_CHUNK_BYTES, size_bytes))):
        digest.update(chunk)
        size_bytes -= len(chunk)
    return digest.hexdigest()


def _put_in_place(sftp: Sftp, run: RunFn, device: str, part: PurePosixPath, dst: PurePosixPath) -> None:
    if sftp.can_replace and sftp.can_fsync:
        try:
            sftp.rename(str(part), str(dst))
        except SftpError as error:
            if error.code != NO_SUCH_FILE:
                raise
            raise DeviceError(
                f"{device}: cannot put {dst} in place: another push of the same content took it",
                hint="run again: the file is there already, or will be",
            ) from error
        return
    # As atomic and as durable, by the device's own tools; mv must not move into a folder of that name.
    script = f'[ ! -d "$2" ] && {"" if sftp.can_fsync else "sync && "}mv -f "$1" "$2"'
    done = run(["sh", "-c", script, "sh", str(part), str(dst)], _RENAME_TIMEOUT_S)
    done.require_success(f"{device}: cannot put {dst} in place")


def _remove(run: RunFn, part: PurePosixPath, dst: PurePosixPath) -> None:
    if part != dst:
        # What went wrong before is what the user must hear.
        with contextlib.suppress(DeviceError):
            run(["rm", "-f", str(part)], _EXPLAIN_TIMEOUT_S)


def _explain(run: RunFn, folder: PurePosixPath, error: SftpError) -> tuple[str, str]:
    """Why a write to `folder` was refused, and the cure; tries it with a tool that tells."""
    try:
        words = run(["sh", "-c", _TRY_TO_WRITE, "sh", str(folder)], _EXPLAIN_TIMEOUT_S).text
    except DeviceError as failure:
        words = failure.message
    return (
        _reason(words)
        or _reason(str(error))
        or (
            f"its SFTP server says '{error}'",
            f"see whether you can write there by hand: touch {shlex.quote(str(folder))}/x",
        )
    )


def _reason(words: str) -> tuple[str, str] | None:
    for pattern, reason, hint in _REASONS:
        if pattern in words.lower():
            return reason, hint
    return None
