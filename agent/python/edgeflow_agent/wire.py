"""Frames and tensors of the agent's protocol, as pure functions of bytes (agent/PROTOCOL.md).

Core, worker and host use this one codec. It knows no sockets and no numpy: a tensor is a name, a dtype,
a shape and little-endian C-order bytes.
"""

from __future__ import annotations

import json
import struct
from enum import IntEnum
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

PROTOCOL_VERSION = 1
MAX_META_BYTES = 1 << 20
MAX_BODY_BYTES = 256 << 20
MAX_RANK = 16
HEADER = struct.Struct(">4sHHII")
MAGIC = b"EDGF"

ITEM_BYTES = {
    "float32": 4,
    "float64": 8,
    "float16": 2,
    "int8": 1,
    "uint8": 1,
    "int16": 2,
    "uint16": 2,
    "int32": 4,
    "uint32": 4,
    "int64": 8,
    "uint64": 8,
    "bool": 1,
}
"""Bytes of one element of each dtype that a tensor may have."""

Buffer = Union[bytes, bytearray, memoryview]


class WireError(Exception):
    """Bytes or values that the protocol does not allow. The connection cannot go on after it."""


class FrameType(IntEnum):
    """What a frame is."""

    HELLO = 1
    REQUEST = 2
    PROGRESS = 3
    RESPONSE = 4
    ERROR = 5


class Frame(NamedTuple):
    """One message: its type, its JSON object, and raw bytes that `meta["tensors"]` describes."""

    type: FrameType
    meta: Dict[str, Any]
    body: Buffer = b""


class Tensor(NamedTuple):
    """Named values: `data` holds them little-endian in C order; `set` numbers an input or output set."""

    name: str
    dtype: str
    shape: Tuple[int, ...]
    data: Buffer
    set: Optional[int] = None


def encode_parts(frame: Frame) -> Tuple[bytes, Buffer]:
    """The frame as (header and meta, body), so that a large body is not copied. Raises WireError.

    Meta is written canonically: sorted keys, no spaces, UTF-8 without escapes beyond JSON's own.
    """
    try:
        text = json.dumps(
            frame.meta, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        meta = text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise WireError("meta cannot be written as JSON: %s" % error) from error
    body_bytes = memoryview(frame.body).nbytes
    if len(meta) > MAX_META_BYTES:
        raise WireError("meta of %d bytes is over the limit of %d" % (len(meta), MAX_META_BYTES))
    if body_bytes > MAX_BODY_BYTES:
        raise WireError("a body of %d bytes is over the limit of %d" % (body_bytes, MAX_BODY_BYTES))
    header = HEADER.pack(MAGIC, PROTOCOL_VERSION, int(frame.type), len(meta), body_bytes)
    return header + meta, frame.body


def encode(frame: Frame) -> bytes:
    """The frame as bytes. Raises WireError where it breaks a limit or holds what JSON cannot."""
    head, body = encode_parts(frame)
    return head + bytes(body)


def with_tensors(frame_type: FrameType, meta: Dict[str, Any], tensors: Iterable[Tensor]) -> Frame:
    """A frame that carries `tensors` in its body, described in a copy of `meta`. Raises WireError."""
    descriptions = []
    chunks = []
    offset = 0
    for tensor in tensors:
        entry = {"name": tensor.name, "dtype": tensor.dtype, "shape": list(tensor.shape), "offset": offset}
        if tensor.set is not None:
            entry["set"] = tensor.set
        expected = tensor_bytes(tensor.dtype, tensor.shape)
        actual = memoryview(tensor.data).nbytes
        if expected != actual:
            raise WireError(
                "tensor %r: %s%s is %d bytes, got %d"
                % (tensor.name, tensor.dtype, list(tensor.shape), expected, actual)
            )
        descriptions.append(entry)
        chunks.append(tensor.data)
        offset += actual
        if offset > MAX_BODY_BYTES:
            raise WireError("tensors of over %d bytes do not fit one frame" % MAX_BODY_BYTES)
    return Frame(frame_type, dict(meta, tensors=descriptions), b"".join(chunks))


def tensor_bytes(dtype: str, shape: Sequence[int]) -> int:
    """Size in bytes of a tensor. Raises WireError on an unknown dtype, a bad shape, or too many."""
    if dtype not in ITEM_BYTES:
        raise WireError("unknown dtype %.40r; known: %s" % (dtype, " ".join(ITEM_BYTES)))
    if len(shape) > MAX_RANK:
        raise WireError("rank %d is over the limit of %d" % (len(shape), MAX_RANK))
    size = ITEM_BYTES[dtype]
    for axis in shape:
        if type(axis) is not int or not 0 <= axis <= MAX_BODY_BYTES:
            raise WireError("bad axis %.40r in a shape" % (axis,))
        size *= axis
    if size > MAX_BODY_BYTES:
        raise WireError("a tensor of %d bytes is over the limit of %d" % (size, MAX_BODY_BYTES))
    return size


def tensors_of(frame: Frame) -> List[Tensor]:
    """The tensors of a frame, as views of its body. Raises WireError unless they tile the body exactly."""
    entries = frame.meta.get("tensors", [])
    if not isinstance(entries, list):
        raise WireError("meta.tensors is not a list")
    body = memoryview(frame.body).cast("B")
    tensors = []
    end = 0
    for entry in entries:
        if not isinstance(entry, dict):
            raise WireError("a tensor's description is not an object")
        name, dtype, shape = entry.get("name"), entry.get("dtype"), entry.get("shape")
        number = entry.get("set")
        if not isinstance(name, str) or not isinstance(dtype, str) or not isinstance(shape, list):
            raise WireError("a tensor needs name, dtype and shape: %.120r" % (entry,))
        if number is not None and (type(number) is not int or number < 0):
            raise WireError("tensor %.80r: bad set %.40r" % (name, number))
        size = tensor_bytes(dtype, shape)
        if type(entry.get("offset")) is not int or entry["offset"] != end:
            raise WireError("tensor %.80r: offset %.40r, expected %d" % (name, entry.get("offset"), end))
        if end + size > len(body):
            raise WireError("tensor %.80r ends at %d, the body at %d" % (name, end + size, len(body)))
        tensors.append(Tensor(name, dtype, tuple(shape), body[end : end + size], number))
        end += size
    if end != len(body):
        raise WireError("%d bytes of the body belong to no tensor" % (len(body) - end))
    return tensors


class FrameParser:
    """Turns a byte stream, cut anywhere, into frames.

    It holds no more than what it was fed; a header's lengths are checked, never allocated ahead. After a
    WireError the parser is finished: every further `feed` raises again.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._header: Optional[Tuple[FrameType, int, int]] = None
        self._failed: Optional[str] = None

    @property
    def pending_bytes(self) -> int:
        """Bytes of an unfinished frame. Not 0 at end of input means that the stream was cut."""
        return len(self._buffer) + (HEADER.size if self._header else 0)

    def feed(self, data: Buffer) -> List[Frame]:
        """The frames that `data` completes, in order. Raises WireError on what is not the protocol.

        Frames that precede the fault in the same `data` are given: last words of a process that then broke
        say how far it came. The next call, or `finish`, raises.
        """
        if self._failed is not None:
            raise WireError(self._failed)
        self._buffer += data
        frames: List[Frame] = []
        try:
            while True:
                frame = self._next()
                if frame is None:
                    return frames
                frames.append(frame)
        except WireError as error:
            self._failed = str(error)
            self._buffer = bytearray()
            if frames:
                return frames
            raise

    def finish(self) -> None:
        """The end of the input. Raises WireError where it lies within a frame, or after what is none."""
        if self._failed is not None:
            raise WireError(self._failed)
        if self.pending_bytes:
            raise WireError("the input ended inside a frame")

    def _next(self) -> Optional[Frame]:
        if self._header is None:
            if len(self._buffer) < HEADER.size:
                # A wrong first byte is an error at once: a login banner must not look like a slow peer.
                if not MAGIC.startswith(bytes(self._buffer[:4])):
                    raise WireError("not an edgeflow frame: %r" % bytes(self._buffer[:16]))
                return None
            self._header = _parse_header(bytes(self._buffer[: HEADER.size]))
            del self._buffer[: HEADER.size]
        frame_type, meta_bytes, body_bytes = self._header
        if len(self._buffer) < meta_bytes + body_bytes:
            return None
        meta = _parse_meta(bytes(self._buffer[:meta_bytes]))
        if len(self._buffer) == meta_bytes + body_bytes:  # the usual case: hand the bytes over, uncopied
            whole, self._buffer = self._buffer, bytearray()
            body = memoryview(whole)[meta_bytes:].toreadonly()
        else:
            body = memoryview(bytes(self._buffer[meta_bytes : meta_bytes + body_bytes]))
            del self._buffer[: meta_bytes + body_bytes]
        self._header = None
        return Frame(frame_type, meta, body)


def _parse_header(data: bytes) -> Tuple[FrameType, int, int]:
    magic, version, frame_type, meta_bytes, body_bytes = HEADER.unpack(data)
    if magic != MAGIC:
        raise WireError("not an edgeflow frame: %r" % data)
    if version != PROTOCOL_VERSION:
        raise WireError("protocol version %d, this side speaks %d" % (version, PROTOCOL_VERSION))
    if meta_bytes > MAX_META_BYTES:
        raise WireError("meta of %d bytes is over the limit of %d" % (meta_bytes, MAX_META_BYTES))
    if body_bytes > MAX_BODY_BYTES:
        raise WireError("a body of %d bytes is over the limit of %d" % (body_bytes, MAX_BODY_BYTES))
    try:
        return FrameType(frame_type), meta_bytes, body_bytes
    except ValueError:
        raise WireError("unknown frame type %d" % frame_type) from None


def _parse_meta(data: bytes) -> Dict[str, Any]:
    try:
        meta = json.loads(data.decode("utf-8"), parse_int=_parse_int, parse_constant=_reject_constant)
        # A lone surrogate is valid JSON and cannot be written as UTF-8 again: find it here, not in an answer.
        if b"\\u" in data:
            json.dumps(meta, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise WireError("meta is not JSON in UTF-8: %s" % error) from error
    if not isinstance(meta, dict):
        raise WireError("meta is not a JSON object")
    return meta


def _parse_int(digits: str) -> int:
    if len(digits) > 20:  # int() takes quadratic time; nothing here needs more than 64 bits
        raise ValueError("a number of %d digits" % len(digits))
    return int(digits)


def _reject_constant(name: str) -> Any:
    raise ValueError("%s is not JSON" % name)
