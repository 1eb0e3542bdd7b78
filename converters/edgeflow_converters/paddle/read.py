"""Reads a Paddle program (.pdmodel) and its parameters (.pdiparams): the bytes of wire.py, backwards.

A program of PaddlePaddle 1.x and 2.x. PaddlePaddle 3 writes another one, in JSON, which is told as such.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_converters.errors import ModelUnreadable, UnsupportedModel
from edgeflow_converters.paddle import wire

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DTYPES = {number: name for name, number in wire.DTYPES.items()}
_OLDER = "export it with PaddlePaddle 2.x, or in 3.x with FLAGS_enable_pir_api=0, as .pdmodel and .pdiparams"
# The field of an attribute's value by its AttrType: one value, or a list of them.
_ONE = {0: 3, 1: 4, 2: 5, 6: 10, 9: 13, 15: 19}
_MANY = {3: 6, 4: 7, 5: 8, 7: 11, 11: 15, 12: 16}
_FLOATS, _DOUBLES, _TEXTS, _BOOLEANS = (1, 4), (12, 15), (2, 5), (6, 7)  # AttrType; the others are integers
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5  # wire types of protobuf


@dataclass(frozen=True, slots=True)
class Variable:
    """A tensor of the program. An axis whose size is open is -1."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    persistable: bool


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: slot -> names of tensors, and its attributes."""

    kind: str
    inputs: Mapping[str, tuple[str, ...]]
    outputs: Mapping[str, tuple[str, ...]]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Description:
    """A program as it is read: its tensors, its operations in order, and its parameters' values."""

    variables: Mapping[str, Variable]
    operations: tuple[Operation, ...]
    parameters: Mapping[str, NDArray[Any]]

    def fed(self) -> list[Variable]:
        """The inputs, in their order."""
        found = [each for each in self.operations if each.kind == "feed"]
        found.sort(key=lambda each: int(each.attributes.get("col", 0)))
        return [self.variables[each.outputs["Out"][0]] for each in found]

    def fetched(self) -> list[str]:
        """The names of the outputs, in their order."""
        found = [each for each in self.operations if each.kind == "fetch"]
        found.sort(key=lambda each: int(each.attributes.get("col", 0)))
        return [each.inputs["X"][0] for each in found]


def parameters_of(model: Path) -> Path:
    """The file of a program's parameters: that of the same name beside it."""
    return model.with_suffix(".pdiparams")


def read_program(model: Path) -> Description:
    """The program in `model` with the parameters beside it.

    Raises ModelUnreadable for files that are none, are cut, or do not belong together; UnsupportedModel for
    a program of PaddlePaddle 3, or one that branches or loops.
    """
    content = _content(model)
    if content.lstrip()[:1] == b"{":
        raise UnsupportedModel(f"{model.name} is a program of PaddlePaddle 3 (PIR)", hint=_OLDER)
    try:
        blocks = [value for field, value in _fields(content) if field == 1]
        if not blocks:
            raise ValueError("it has no block")
        variables, operations = _block(blocks[0])
    except (ValueError, IndexError, KeyError, TypeError, struct.error) as error:
        raise ModelUnreadable(
            f"{model.name} is no Paddle program, or is cut: {error}", hint=_OLDER
        ) from error
    branching = next((each.kind for each in operations if "sub_block" in each.attributes), None)
    if branching is not None:
        raise UnsupportedModel(
            f"{model.name} branches or loops ({branching})",
            hint="export the model for inference, without that",
        )
    named = {name for each in operations for names in each.inputs.values() for name in names}
    missing = sorted(named - set(variables))
    if missing or not any(each.kind == "fetch" for each in operations):
        what = f"it does not describe {missing[0]!r}" if missing else "it gives no output"
        raise ModelUnreadable(f"{model.name} is no Paddle program for inference: {what}", hint=_OLDER)
    wanted = sorted(name for name, each in variables.items() if each.persistable)
    return Description(variables, operations, _parameters(model, [variables[name] for name in wanted]))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelUnreadable(f"{path} cannot be read: {error.strerror}") from error


def _parameters(model: Path, wanted: list[Variable]) -> dict[str, NDArray[Any]]:
    path = parameters_of(model)
    if not path.is_file():
        if not wanted:
            return {}
        raise ModelUnreadable(
            f"{model.name} has {len(wanted)} parameters, and there is no {path.name} beside it",
            hint=f"put the .pdiparams that was saved with it beside it, as {path.name}",
        )
    content, at = _content(path), 0
    found: dict[str, NDArray[Any]] = {}
    for variable in wanted:
        try:
            found[variable.name], at = _parameter(content, at)
        except (ValueError, IndexError, KeyError, struct.error) as error:
            raise ModelUnreadable(f"{path.name} is cut, or holds no parameters: {error}") from error
        told = (str(found[variable.name].dtype), found[variable.name].shape)
        if told != (variable.dtype, variable.shape):
            raise ModelUnreadable(
                f"{path.name} does not belong to {model.name}: {variable.name} is {told[0]}{list(told[1])} "
                f"there and {variable.dtype}{list(variable.shape)} in the program"
            )
    if at != len(content):
        raise ModelUnreadable(f"{path.name} does not belong to {model.name}: it holds more parameters")
    return found


def _parameter(content: bytes, at: int) -> tuple[NDArray[Any], int]:
    """One tensor of the parameters file, and where the next one begins."""
    import numpy as np

    _, levels = struct.unpack_from("<IQ", content, at)
    at += 12
    for _ in range(levels):
        (size,) = struct.unpack_from("<Q", content, at)
        _part(content, at + 8, size)
        at += 8 + size
    _, length = struct.unpack_from("<Ii", content, at)
    at += 8
    dtype, shape = _tensor(_part(content, at, length))
    at += length
    values = np.frombuffer(_part(content, at, _size(dtype, shape)), dtype).reshape(shape)
    return values, at + values.nbytes


def _size(dtype: str, shape: tuple[int, ...]) -> int:
    import math

    import numpy as np

    if min(shape, default=0) < 0:
        raise ValueError("a parameter has an open axis")
    return math.prod(shape) * np.dtype(dtype).itemsize


def _part(content: bytes, at: int, length: int) -> bytes:
    if length < 0 or at + length > len(content):
        raise ValueError("it ends too early")
    return content[at : at + length]


def _block(content: bytes) -> tuple[dict[str, Variable], tuple[Operation, ...]]:
    variables: dict[str, Variable] = {}
    operations = []
    for field, value in _fields(content):
        if field == 3:
            variable = _variable(value)
            variables[variable.name] = variable
        elif field == 4:
            operations.append(_operation(value))
    return variables, tuple(operations)


def _variable(content: bytes) -> Variable:
    """A tensor, or one of the lists feed and fetch, which have no dtype."""
    told = dict(_fields(content))
    kind = dict(_fields(told[2]))
    dtype, shape = "", tuple[int, ...]()
    if kind[1] == wire.LOD_TENSOR and 3 in kind:
        dtype, shape = _tensor(dict(_fields(kind[3]))[1])
    name = told[1].decode()
    return Variable(name, dtype, shape, bool(told.get(3, 0)) and dtype != "")


def _tensor(content: bytes) -> tuple[str, tuple[int, ...]]:
    """Dtype and shape of a TensorDesc."""
    number, shape = -1, list[int]()
    for field, value in _fields(content):
        if field == 1:
            number = value
        elif field == 2:
            shape += _integers(value)
    if number not in _DTYPES:
        raise ValueError(f"a tensor holds elements of kind {number}")
    return _DTYPES[number], tuple(shape)


def _operation(content: bytes) -> Operation:
    slots: tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]] = ({}, {})
    kind, attributes = "", {}
    for field, value in _fields(content):
        if field in (1, 2):
            texts = list(_fields(value))
            name = next(text for number, text in texts if number == 1).decode()
            slots[field - 1][name] = tuple(text.decode() for number, text in texts if number == 2)
        elif field == 3:
            kind = value.decode()
        elif field == 4:
            name, found = _attribute(value)
            attributes[name] = found
    if not kind:
        raise ValueError("an operation has no name")
    return Operation(kind, *slots, attributes)


def _attribute(content: bytes) -> tuple[str, Any]:
    """Name and value. What refers to a block or to tensors has no value here, and None stands for it."""
    told: dict[int, list[Any]] = {}
    for field, value in _fields(content):
        told.setdefault(field, []).append(value)
    name, kind = told[1][0].decode(), told[2][0]
    number = _ONE.get(kind, _MANY.get(kind, 0))
    values = [item for value in told.get(number, []) for item in _values(kind, value)]
    if kind in _MANY:
        return name, values
    return name, values[-1] if values else None


def _values(kind: int, value: Any) -> list[Any]:
    if kind in _TEXTS:
        return [value.decode(errors="replace")]
    if kind in _FLOATS or kind in _DOUBLES:
        letter = "f" if kind in _FLOATS else "d"
        return [item for (item,) in struct.iter_unpack(f"<{letter}", value)]
    numbers = _integers(value)
    return [bool(number) for number in numbers] if kind in _BOOLEANS else numbers


def _integers(value: Any) -> list[int]:
    """One number, or several that are packed."""
    if isinstance(value, int):
        return [_signed(value)]
    found, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        found.append(_signed(number))
    return found


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def _fields(content: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of every field of a message. Raises ValueError, IndexError where it is none."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(content, at)
            yield key >> 3, value
            continue
        if kind == _LENGTH:
            length, at = _varint(content, at)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"a field is of kind {kind}")
        yield key >> 3, _part(content, at, length)
        at += length


def _varint(content: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = content[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")
