"""The bytes that adb's server and daemon speak: requests, shell v2 packets, sync headers, listings. Pure.

Sources, in AOSP's packages/modules/adb: OVERVIEW.TXT, SERVICES.TXT, SYNC.TXT, shell_protocol.h,
file_sync_protocol.h.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from edgeflow.errors import DeviceError

MAX_REQUEST_BYTES = 0xFFFF
SYNC_CHUNK_BYTES = 64 << 10  # SYNC_DATA_MAX: adbd refuses more in one DATA packet
MAX_SYNC_PATH_BYTES = 1024

_PACKET = struct.Struct("<BI")
_SYNC = struct.Struct("<4sI")
_STAT = struct.Struct("<4sIQQIIIIQqqq")
STAT_REPLY_BYTES = _STAT.size
SYNC_HEADER_BYTES = _SYNC.size
_MAX_PACKET_BYTES = 16 << 20

_LISTED = re.compile(
    r"(?P<serial>\(no serial number\)|\S+)\s+"
    r"(?P<state>no permissions[^\[\n]*(?:\[[^\]]*\])?|[a-z]+)(?P<rest>.*)"
)


class ProtocolError(DeviceError):
    """The server or the daemon said something that the protocol does not know."""


class PacketId(IntEnum):
    """The kinds of packets of `shell,v2`."""

    stdin = 0
    stdout = 1
    stderr = 2
    exit = 3
    close_stdin = 4


def request(service: str) -> bytes:
    """A request to the server: four hex digits of length, then the service. Raises DeviceError."""
    data = service.encode()
    if len(data) > MAX_REQUEST_BYTES:
        raise DeviceError(
            f"a command of {len(data)} bytes is too long for adb ({MAX_REQUEST_BYTES})",
            hint="push a script and run that",
        )
    return b"%04x%s" % (len(data), data)


def shell_packet(kind: PacketId, data: bytes | memoryview = b"") -> bytes:
    """One packet of `shell,v2`: id, little-endian length, data."""
    return _PACKET.pack(kind, len(data)) + bytes(data)


class ShellDecoder:
    """Turns pieces of a `shell,v2` stream into packets, wherever the pieces are cut."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[PacketId, bytes]]:
        """The packets that `data` completes. Raises ProtocolError for an unknown id or an absurd length."""
        self._buffer += data
        while len(self._buffer) >= _PACKET.size:
            kind, length = _PACKET.unpack_from(self._buffer)
            if kind not in (PacketId.stdout, PacketId.stderr, PacketId.exit) or length > _MAX_PACKET_BYTES:
                raise ProtocolError(f"adb's shell sent a packet of kind {kind} and {length} bytes")
            end = _PACKET.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_PACKET.size : end])
            del self._buffer[:end]
            if kind == PacketId.exit and len(body) != 1:
                raise ProtocolError(f"adb's shell sent an exit packet of {len(body)} bytes")
            yield PacketId(kind), body


def sync_request(kind: bytes, argument: str) -> bytes:
    """A sync request with a path (SEND: "path,mode"). Raises DeviceError for too long a path."""
    data = argument.encode()
    if len(data) > MAX_SYNC_PATH_BYTES:
        raise DeviceError(f"the path {argument} is too long for adb ({MAX_SYNC_PATH_BYTES} bytes)")
    return _SYNC.pack(kind, len(data)) + data


def sync_header(kind: bytes, value: int) -> bytes:
    """Eight bytes: DATA with its length, DONE with the modification time."""
    return _SYNC.pack(kind, value)


def parse_sync_header(data: bytes) -> tuple[bytes, int]:
    """Kind and value of eight bytes. Raises ProtocolError for a DATA longer than the protocol has."""
    kind, value = _SYNC.unpack(data)
    if kind == b"DATA" and value > SYNC_CHUNK_BYTES:
        raise ProtocolError(f"adb's sync service sent a chunk of {value} bytes")
    return kind, value


@dataclass(frozen=True, slots=True)
class RemoteStat:
    """What STA2 tells of a path, symbolic links followed. `errno` is Linux's, 0 where there was none."""

    errno: int
    mode: int
    size_bytes: int


def parse_stat(data: bytes) -> RemoteStat:
    """Raises ProtocolError for anything but a STA2 reply."""
    kind, error, _dev, _ino, mode, _nlink, _uid, _gid, size, *_times = _STAT.unpack(data)
    if kind != b"STA2":
        raise ProtocolError(f"adb's sync service answered {kind!r} to STA2")
    return RemoteStat(error, mode, size)


@dataclass(frozen=True, slots=True)
class ListedDevice:
    """A line of `adb devices -l`. `state` is adb's word, or "no permissions" with the reason in `note`."""

    serial: str
    state: str
    note: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """What a person calls it, where the device told."""
        return self.properties.get("model", "").replace("_", " ")


def parse_devices(text: str) -> list[ListedDevice]:
    """The lines of `host:devices-l`. Raises ProtocolError for a line that is none."""
    found = []
    for line in text.splitlines():
        if not line.strip():
            continue
        match = _LISTED.match(line)
        if match is None:
            raise ProtocolError(f"adb's list of devices has an unknown line: {line.strip()}")
        state, note = match["state"].strip(), ""
        if state.startswith("no permissions"):
            state, note = "no permissions", state.removeprefix("no permissions").strip()
        pairs = (word.partition(":") for word in match["rest"].split())
        found.append(
            ListedDevice(match["serial"], state, note, {key: value for key, colon, value in pairs if colon})
        )
    return found
