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
    digest, done_bytes, block = hashlib.sha256(), 0, _Block()
    link.send(sync_request(b"SEND", f"{target},{stat.S_IFREG | mode}"), _STALL_S)
    while count := block.fill(source):
        if hashed:  # costs as much time as the sending on a fast link
            for chunk in block.chunks(count):
                digest.update(chunk)
        link.send(block.packets(count), _STALL_S)
        done_bytes += count
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


class _Block:
    """One MiB of a file as DATA packets, read into its place between their headers: nothing is copied
    again, and the kernel is called once for all of it. On a fast link that is most of the time."""

    def __init__(self) -> None:
        step = SYNC_HEADER_BYTES + SYNC_CHUNK_BYTES
        self._buffer = memoryview(bytearray(step * _CHUNKS_A_WRITE))
        self._packets = [self._buffer[start : start + step] for start in range(0, len(self._buffer), step)]
        self._slots = [packet[SYNC_HEADER_BYTES:] for packet in self._packets]

    def fill(self, source: BinaryIO) -> int:
        """Reads on from the file; how many bytes, 0 at its end."""
        return os.readv(source.fileno(), self._slots)

    def chunks(self, count: int) -> Iterator[memoryview]:
        """The data of the first `count` bytes, packet by packet."""
        for slot in self._slots:
            if count <= 0:
                return
            yield slot[: min(count, SYNC_CHUNK_BYTES)]
            count -= SYNC_CHUNK_BYTES

    def packets(self, count: int) -> memoryview:
        """The packets of the first `count` bytes."""
        used_bytes = 0
        for packet, chunk in zip(self._packets, self.chunks(count), strict=False):
            packet[:SYNC_HEADER_BYTES] = sync_header(b"DATA", len(chunk))
            used_bytes += SYNC_HEADER_BYTES + len(chunk)
        return self._buffer[:used_bytes]
