"""A client of SFTP version 3 (draft-ietf-secsh-filexfer-02) with OpenSSH's extensions (its PROTOCOL file).

paramiko's own client cannot fsync, bounds no wait, and keeps requests at 32 KiB; this one does what a
transport needs, with requests as large as the server takes and a window of them under way.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from stat import S_ISDIR, S_ISREG
from typing import BinaryIO

from edgeflow.devices.transports.ssh_channel import SshChannel
from edgeflow.errors import DeviceError

NO_SUCH_FILE, PERMISSION_DENIED = 2, 3

_INIT, _VERSION, _OPEN, _CLOSE, _READ, _WRITE = 1, 2, 3, 4, 5, 6
_FSTAT, _FSETSTAT, _STAT, _EXTENDED = 8, 10, 17, 200
_STATUS, _HANDLE, _DATA, _ATTRS, _EXTENDED_REPLY = 101, 102, 103, 105, 201
_OK, _EOF = 0, 1
_ATTR_SIZE, _ATTR_IDS, _ATTR_MODE = 1, 2, 4
READ, WRITE, CREATE, NEW = 0x01, 0x02, 0x08, 0x20  # NEW: the file must not be there yet

_SAFE_BYTES = 32 << 10  # every server takes requests of this size
_MAX_BYTES = 255 << 10
_IN_FLIGHT_BYTES = 2 << 20
_ANSWER_TIMEOUT_S = 60.0  # a dead link is noticed sooner, by its watch; this is for a stuck disk
_FSYNC_TIMEOUT_S = 300.0  # a full page cache on a slow SD card

Acknowledged = Callable[[int], None]
"""Called with the number of bytes that were acknowledged just now."""


class SftpError(Exception):
    """The server's refusal: a status code and its words."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words or f"SFTP status {code}")
        self.code = code


class NotSftp(Exception):
    """What came first is no SFTP: a login shell that prints, most likely."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """A file's attributes, as far as the server tells them."""

    size_bytes: int
    mode: int

    @property
    def is_file(self) -> bool:
        return S_ISREG(self.mode)

    @property
    def is_folder(self) -> bool:
        return S_ISDIR(self.mode)


class Sftp:
    """One SFTP session over a channel, for one thread. An exception other than SftpError ends its use.

    Every wait is bounded; LinkLost and DeviceTimeout pass through.
    """

    def __init__(self, channel: SshChannel) -> None:
        """Says hello. Raises NotSftp, LinkLost, DeviceTimeout."""
        self._channel = channel
        self._next_id = 0
        self._buffer = bytearray()
        self._send(struct.pack(">BI", _INIT, 3))
        size = self._exactly(4)
        if int.from_bytes(size, "big") > 64 << 10:
            raise NotSftp(bytes(size))
        hello = self._exactly(int.from_bytes(size, "big"))
        if hello[:1] != bytes([_VERSION]):
            raise NotSftp(bytes(hello))
        self._extensions = _strings(hello[5:])[::2]
        self._write_bytes, self._read_bytes = self._limits()

    @property
    def can_fsync(self) -> bool:
        return b"fsync@openssh.com" in self._extensions

    @property
    def can_replace(self) -> bool:
        """Whether `rename` replaces the target, as POSIX has it."""
        return b"posix-rename@openssh.com" in self._extensions

    def stat(self, path: str) -> Attributes:
        return _attributes(self._call(_STAT, _string(path), _ATTRS))

    def fstat(self, handle: bytes) -> Attributes:
        return _attributes(self._call(_FSTAT, _string(handle), _ATTRS))

    def open(self, path: str, flags: int, mode: int = 0o600) -> bytes:
        """A handle. `mode` counts where the file is created."""
        body = _string(path) + struct.pack(">III", flags, _ATTR_MODE, mode)
        return _strings(self._call(_OPEN, body, _HANDLE))[0]

    def close_handle(self, handle: bytes) -> None:
        self._call(_CLOSE, _string(handle), _STATUS)

    def chmod(self, handle: bytes, mode: int) -> None:
        self._call(_FSETSTAT, _string(handle) + struct.pack(">II", _ATTR_MODE, mode), _STATUS)

    def fsync(self, handle: bytes) -> None:
        body = _string("fsync@openssh.com") + _string(handle)
        self._call(_EXTENDED, body, _STATUS, timeout_s=_FSYNC_TIMEOUT_S)

    def rename(self, old: str, new: str) -> None:
        """Replaces `new` at once. Only where `can_replace`."""
        self._call(_EXTENDED, _string("posix-rename@openssh.com") + _string(old) + _string(new), _STATUS)

    def write_from(self, handle: bytes, source: BinaryIO, offset: int, acknowledged: Acknowledged) -> None:
        """Writes what `source` still has, from `offset` on, many requests at a time."""
        waiting: deque[tuple[int, int]] = deque()
        in_flight = 0
        while True:
            chunk = source.read(self._write_bytes)
            if not chunk:
                break
            header = _string(handle) + struct.pack(">QI", offset, len(chunk))
            waiting.append((self._request(_WRITE, header, chunk), len(chunk)))
            offset += len(chunk)
            in_flight += len(chunk)
            while in_flight > _IN_FLIGHT_BYTES:
                in_flight -= self._acknowledge(waiting, acknowledged)
        while waiting:
            self._acknowledge(waiting, acknowledged)

    def read_into(self, handle: bytes, target: BinaryIO, size_bytes: int, arrived: Acknowledged) -> int:
        """Reads up to `size_bytes` from the start of the file; returns how many came before its end."""
        waiting: deque[tuple[int, int, int]] = deque()
        asked, got = 0, 0
        while asked < size_bytes or waiting:
            while asked < size_bytes and len(waiting) * self._read_bytes < _IN_FLIGHT_BYTES:
                count = min(self._read_bytes, size_bytes - asked)
                waiting.append((self._ask_read(handle, asked, count), asked, count))
                asked += count
            request, offset, count = waiting.popleft()
            kind, body = self._answer(request)
            if kind == _STATUS:
                if (status := _status(body)).code == _EOF:
                    asked = size_bytes
                    continue
                raise status
            data = _strings(body)[0]
            if len(data) < count and offset + len(data) < size_bytes:
                # A short answer is no end of file: ask for the rest, before everything else.
                rest = self._ask_read(handle, offset + len(data), count - len(data))
                waiting.appendleft((rest, offset + len(data), count - len(data)))
            target.write(data)
            got += len(data)
            arrived(len(data))
        return got

    def close(self) -> None:
        self._channel.close()

    def _limits(self) -> tuple[int, int]:
        """Bytes of one write and one read that the server takes."""
        if b"limits@openssh.com" not in self._extensions:
            return _SAFE_BYTES, _SAFE_BYTES
        reply = self._call(_EXTENDED, _string("limits@openssh.com"), _EXTENDED_REPLY)
        _, most_read, most_write, _ = struct.unpack(">QQQQ", reply[:32])
        return (min(most_write or _SAFE_BYTES, _MAX_BYTES), min(most_read or _SAFE_BYTES, _MAX_BYTES))

    def _ask_read(self, handle: bytes, offset: int, count: int) -> int:
        return self._request(_READ, _string(handle) + struct.pack(">QI", offset, count))

    def _acknowledge(self, waiting: deque[tuple[int, int]], acknowledged: Acknowledged) -> int:
        request, count = waiting.popleft()
        _, body = self._answer(request)
        if (status := _status(body)).code != _OK:
            raise status
        acknowledged(count)
        return count

    def _call(self, kind: int, body: bytes, expected: int, *, timeout_s: float = _ANSWER_TIMEOUT_S) -> bytes:
        got, answer = self._answer(self._request(kind, body), timeout_s=timeout_s)
        if got == _STATUS and (expected != _STATUS or _status(answer).code != _OK):
            raise _status(answer)
        if got != expected:
            raise self._broken(f"answered request {kind} with message {got}")
        return answer

    def _request(self, kind: int, body: bytes, data: bytes = b"") -> int:
        self._next_id = (self._next_id + 1) & 0xFFFFFFFF
        self._send(struct.pack(">BI", kind, self._next_id) + body, data)
        return self._next_id

    def _send(self, head: bytes, data: bytes = b"") -> None:
        message = b"".join((struct.pack(">I", len(head) + len(data)), head, data))
        self._channel.write(message, timeout_s=_ANSWER_TIMEOUT_S)

    def _answer(self, request: int, *, timeout_s: float = _ANSWER_TIMEOUT_S) -> tuple[int, bytes]:
        """The next answer, which sftp-server gives in the order of the requests."""
        size = int.from_bytes(self._exactly(4, timeout_s=timeout_s), "big")
        message = bytes(self._exactly(size, timeout_s=timeout_s))
        kind, got = struct.unpack_from(">BI", message)
        if got != request:
            raise self._broken(f"answered request {got} where {request} was due")
        return kind, message[5:]

    def _broken(self, how: str) -> DeviceError:
        return DeviceError(f"{self._channel.device}: its sftp-server {how}", hint="try again")

    def _exactly(self, count: int, *, timeout_s: float = _ANSWER_TIMEOUT_S) -> bytearray:
        while len(self._buffer) < count:
            data = self._channel.read(1 << 18, timeout_s=timeout_s)
            if not data and not self._next_id:
                raise NotSftp(bytes(self._buffer))
            if not data:
                words = self._channel.stderr_tail().strip() or "it printed nothing"
                raise self._broken(f"ended: {words}")
            self._buffer += data
        found = self._buffer[:count]
        del self._buffer[:count]
        return found


def _string(value: str | bytes) -> bytes:
    data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return struct.pack(">I", len(data)) + data


def _strings(body: bytes | bytearray) -> list[bytes]:
    found, rest = [], memoryview(body)
    while len(rest) >= 4:
        size = int.from_bytes(rest[:4], "big")
        found.append(bytes(rest[4 : 4 + size]))
        rest = rest[4 + size :]
    return found


def _status(body: bytes) -> SftpError:
    words = _strings(body[4:])[:1]
    return SftpError(int.from_bytes(body[:4], "big"), words[0].decode("utf-8", "replace") if words else "")


def _attributes(body: bytes) -> Attributes:
    (flags,), rest = struct.unpack_from(">I", body), body[4:]
    size = mode = 0
    if flags & _ATTR_SIZE:
        (size,), rest = struct.unpack_from(">Q", rest), rest[8:]
    if flags & _ATTR_IDS:
        rest = rest[8:]
    if flags & _ATTR_MODE:
        (mode,) = struct.unpack_from(">I", rest)
    return Attributes(size, mode)
