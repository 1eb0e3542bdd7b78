"""Reads the little of a .tflite file (a FlatBuffer) that has to be known before it is loaded.

Layout: a 32-bit offset to the root table, then "TFL3". A table begins with the signed distance back to its
vtable, which holds 16-bit field offsets. Model's field 1 is the vector of operator codes: field 0 is the
number of an operator below 127, 1 the name of a custom one, 2 its version (1 if absent), 3 its number since
there are more. Source: tflite/schema/schema.fbs, and the FlatBuffers "Internals" page.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeflow_converters.errors import ConverterFailed

_MAGIC = b"TFL3"
_OPERATOR_CODES = 1
_OLD_CODE, _CUSTOM_CODE, _VERSION, _CODE = 0, 1, 2, 3


def custom_operators(path: Path) -> list[str]:
    """Names of the operators in the file that are none of LiteRT's own.

    Raises ConverterFailed if it is no model.
    """
    names = []
    with _read(path) as data:
        for table in _operator_codes(data):
            name = _follow(data, table, _CUSTOM_CODE)
            if name is not None:
                length = _at("<I", data, name)
                names.append(data[name + 4 : name + 4 + length].decode(errors="replace"))
    return names


def operators(path: Path) -> list[tuple[int, int]]:
    """(number, version) of each operator that the file uses. Raises ConverterFailed if it is no model."""
    found = []
    with _read(path) as data:
        for table in _operator_codes(data):
            old, new = (_number(kind, data, table, at, 0) for kind, at in (("<b", _OLD_CODE), ("<i", _CODE)))
            found.append((max(old, new), _number("<i", data, table, _VERSION, 1)))
    return found


@contextmanager
def _read(path: Path) -> Iterator[bytes]:
    """The file's bytes; what leads out of them in the body is ConverterFailed."""
    data = path.read_bytes()
    if data[4:8] != _MAGIC:
        raise ConverterFailed(f"{path.name} is no TensorFlow Lite model: it lacks the mark {_MAGIC.decode()}")
    try:
        yield data
    except struct.error:
        raise ConverterFailed(f"{path.name} is truncated or damaged") from None


def _operator_codes(data: bytes) -> Iterator[int]:
    """Where the table of each operator begins."""
    codes = _follow(data, _at("<I", data, 0), _OPERATOR_CODES)
    if codes is not None:
        for place in range(codes + 4, codes + 4 + 4 * _at("<I", data, codes), 4):
            yield place + _at("<I", data, place)


def _number(kind: str, data: bytes, table: int, field: int, default: int) -> int:
    place = _field(data, table, field)
    return default if place is None else _at(kind, data, place)


def _follow(data: bytes, table: int, field: int) -> int | None:
    """Where the vector or string in `field` of a table begins; None if the table has none."""
    place = _field(data, table, field)
    return None if place is None else place + _at("<I", data, place)


def _field(data: bytes, table: int, field: int) -> int | None:
    """Where `field` of a table lies; None if the table has none."""
    vtable = table - _at("<i", data, table)
    if 4 + 2 * field >= _at("<H", data, vtable):
        return None
    offset = _at("<H", data, vtable + 4 + 2 * field)
    return table + offset if offset else None


def _at(kind: str, data: bytes, place: int) -> int:
    if place < 0:
        raise struct.error
    value: int = struct.unpack_from(kind, data, place)[0]
    return value
