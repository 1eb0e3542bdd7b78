"""The bytes of PaddlePaddle's framework.proto, as far as a program for inference needs them.

Facts of the format: paddle/fluid/framework/framework.proto of PaddlePaddle 2.6 (ProgramDesc, BlockDesc,
OpDesc, VarDesc, VarType), and SerializeToStream of its lod_tensor.cc for parameters.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

# VarType.Type: of elements, and of variables.
DTYPES = {
    "bool": 0, "int16": 1, "int32": 2, "int64": 3, "float16": 4, "float32": 5, "float64": 6,
    "uint8": 20, "int8": 21,
}  # fmt: skip
LOD_TENSOR, FEED_MINIBATCH, FETCH_LIST = 7, 9, 10
_INT, _FLOAT, _STRING, _INTS, _FLOATS, _BOOLEAN, _LONG = 0, 1, 2, 3, 4, 6, 9  # AttrType
_PROGRAM_VERSION = 2006002  # 2.6.2: opt asks for none in particular


class Long(int):
    """An integer attribute that the operator has as 64 bits: opt aborts when it finds the other kind."""


def program(variables: Sequence[bytes], operations: Sequence[bytes]) -> bytes:
    """A ProgramDesc of one block, which has no parent."""
    block = _number(1, 0) + _number(2, -1)
    block += b"".join(_bytes(3, each) for each in variables)
    block += b"".join(_bytes(4, each) for each in operations)
    return _bytes(1, block) + _bytes(4, _number(1, _PROGRAM_VERSION))


def list_variable(name: str, kind: int) -> bytes:
    """The VarDesc of `feed` or `fetch`."""
    return _bytes(1, name.encode()) + _bytes(2, _number(1, kind)) + _number(3, 1)


def variable(name: str, dtype: str, shape: Sequence[int], *, persistable: bool) -> bytes:
    """The VarDesc of a tensor."""
    tensor = _bytes(1, _tensor(dtype, shape)) + _number(2, 0)
    kind = _number(1, LOD_TENSOR) + _bytes(3, tensor)
    return _bytes(1, name.encode()) + _bytes(2, kind) + _number(3, int(persistable))


def operation(
    kind: str,
    inputs: Mapping[str, Sequence[str]],
    outputs: Mapping[str, Sequence[str]],
    attributes: Mapping[str, Any],
) -> bytes:
    """An OpDesc. Raises TypeError for an attribute that is of no type it can have."""
    content = b""
    for field, slots in ((1, inputs), (2, outputs)):
        for slot, names in slots.items():
            listed = b"".join(_bytes(2, name.encode()) for name in names)
            content += _bytes(field, _bytes(1, slot.encode()) + listed)
    content += _bytes(3, kind.encode())
    return content + b"".join(_bytes(4, _attribute(name, value)) for name, value in attributes.items())


def parameter(array: NDArray[Any]) -> bytes:
    """One tensor of the parameters file: version, no levels of detail, version, TensorDesc, the elements."""
    description = _tensor(str(array.dtype), array.shape)
    head = struct.pack("<IQIi", 0, 0, 0, len(description))
    return head + description + array.tobytes()


def _attribute(name: str, value: Any) -> bytes:
    head = _bytes(1, name.encode())
    if isinstance(value, bool):
        return head + _number(2, _BOOLEAN) + _number(10, int(value))
    if isinstance(value, Long):
        return head + _number(2, _LONG) + _number(13, value)
    if isinstance(value, int):
        return head + _number(2, _INT) + _number(3, value)
    if isinstance(value, float):
        return head + _number(2, _FLOAT) + _single(4, value)
    if isinstance(value, str):
        return head + _number(2, _STRING) + _bytes(5, value.encode())
    if isinstance(value, (list, tuple)) and all(isinstance(item, int) for item in value):
        return head + _number(2, _INTS) + b"".join(_number(6, item) for item in value)
    if isinstance(value, (list, tuple)) and all(isinstance(item, float) for item in value):
        return head + _number(2, _FLOATS) + b"".join(_single(7, item) for item in value)
    raise TypeError(f"attribute {name} = {value!r} is of no type that a program has")


def _tensor(dtype: str, shape: Sequence[int]) -> bytes:
    return _number(1, DTYPES[dtype]) + b"".join(_number(2, size) for size in shape)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _single(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    content = bytearray()
    while value > 0x7F:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*content, value))
