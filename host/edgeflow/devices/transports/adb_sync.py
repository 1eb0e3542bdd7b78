"""Files over adb's sync service: stat, send, receive. Names on the device are those that the caller gives."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from edgeflow.devices.transports.adb_link import AdbLink
from edgeflow.devices.transports.adb_wire import (
    STAT_REPLY_BYTES,
    SYNC_CHUNK_BYTES,
    SYNC_HEADER_BYTES,
    ProtocolError,
    RemoteStat,
    parse_stat,
    parse_sync_header,
    sync_header,
    sync_request,
)
from edgeflow.devices.transports.base import ProgressFn

_STALL_S = 30.0  # a device that answers signs of life but takes or gives no byte, as with a full, slow flash
_CHUNKS_A_WRITE = 16


class SyncFailed(Exception):
    """adbd answered FAIL; `words` is what it said, ending in an error of the system in English."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied: its size and, where asked for, the SHA-256 of the bytes as they passed."""

    size_bytes: int
    sha256: str


def remote_stat(link: AdbLink, path: PurePosixPath) -> RemoteStat:
    """What is at `path`. Raises LinkLost, DeviceTimeout."""
    link.send(sync_request(b"STA2", str(path)), _STALL_S)
    return parse_stat(link.receive_exactly(STAT_REPLY_BYTES, _STALL_S))


def send_file(
    link: AdbLink,
    source: BinaryIO,
    target: PurePosixPath,
    *,
    mode: int,
    hashed: bool,
    progress: ProgressFn | None,
) -> Copied:
    """Writes `source` to `target`, making its folders. Raises SyncFailed, LinkLost, DeviceTimeout."""
    total_bytes = os.fstat(source.fileno()).st_size
    digest, done_bytes = hashlib.sha256(), 0
    link.send(sync_request(b"SEND", f"{target},{stat.S_IFREG | mode}"), _STALL_S)
    for block in _blocks(source):
        if hashed:  # costs as much time as the sending on a fast link
            digest.update(block)
        link.send(_framed(block), _STALL_S)
        done_bytes += len(block)
        if link.has_data():  # adbd gives up early: a full disk need not be fed to the end of the file
            break
        if progress is not None:
            progress(done_bytes, total_bytes)
    else:
        link.send(sync_header(b"DONE", int(os.fstat(source.fileno()).st_mtime)), _STALL_S)
    kind, length = parse_sync_header(link.receive_exactly(SYNC_HEADER_BYTES, _STALL_S))
    if kind == b"FAIL":
        raise SyncFailed(link.receive_exactly(length, _STALL_S).decode("utf-8", "replace"))
    if kind != b"OKAY":
        raise ProtocolError(f"adb's sync service answered {kind!r} to a file")
    return Copied(done_bytes, digest.hexdigest() if hashed else "")


def receive_file(
    link: AdbLink, path: PurePosixPath, target: BinaryIO, *, total_bytes: int, progress: ProgressFn | None
) -> int:
    """Copies `path` into `target`; returns how many bytes.

    Raises SyncFailed, LinkLost, DeviceTimeout; OSError from `target`.
    """
    done_bytes = 0
    link.send(sync_request(b"RECV", str(path)), _STALL_S)
    while True:
        kind, length = parse_sync_header(link.receive_exactly(SYNC_HEADER_BYTES, _STALL_S))
        if kind == b"DONE":
            return done_bytes
        data = link.receive_exactly(length, _STALL_S)
        if kind == b"FAIL":
            raise SyncFailed(data.decode("utf-8", "replace"))
        if kind != b"DATA":
            raise ProtocolError(f"adb's sync service sent {kind!r} in a file")
        target.write(data)
        done_bytes += length
        if progress is not None:
            progress(done_bytes, total_bytes)


def _blocks(source: BinaryIO) -> Iterator[bytes]:
    while block := source.read(SYNC_CHUNK_BYTES * _CHUNKS_A_WRITE):
        yield block


def _framed(block: bytes) -> bytearray:
    """The block as DATA packets, joined so that the kernel is called once and not for each 64 KiB."""
    framed = bytearray()
    view = memoryview(block)
    for start in range(0, len(block), SYNC_CHUNK_BYTES):
        chunk = view[start : start + SYNC_CHUNK_BYTES]
        framed += sync_header(b"DATA", len(chunk))
        framed += chunk
    return framed
