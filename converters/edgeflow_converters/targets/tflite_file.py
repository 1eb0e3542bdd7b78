"""Reads the little of a .tflite file (a FlatBuffer) that has to be known before it is loaded.

Layout: a 32-bit offset to the root table, then "TFL3". A table begins with the signed distance back to its
vtable, which holds 16-bit field offsets. Model's field 1 is the vector of operator codes, whose field 1 is
the name of a custom operator. Source: tflite/schema/schema.fbs, and the FlatBuffers "Internals" page.
"""

from __future__ import annotations

import struct
from pathlib import Path

from edgeflow_converters.errors import ConverterFailed

_MAGIC = b"TFL3"
_OPERATOR_CODES, _CUSTOM_CODE = 1, 1


def custom_operators(path: Path) -> list[str]:
    """Names of the operators in the file that are none of LiteRT's own.

    Raises ConverterFailed if it is no model.
    """
    data = path.read_bytes()
    if data[4:8] != _MAGIC:
        raise ConverterFailed(f"{path.name} is no TensorFlow Lite model: it lacks the mark {_MAGIC.decode()}")
    try:
        root = _at("<I", data, 0)
        codes = _follow(data, root, _OPERATOR_CODES)
        if codes is None:
            return []
        names = []
        for index in range(_at("<I", data, codes)):
            place = codes + 4 + 4 * index
            name = _follow(data, place + _at("<I", data, place), _CUSTOM_CODE)
            if name is not None:
                length = _at("<I", data, name)
                names.append(data[name + 4 : name + 4 + length].decode(errors="replace"))
        return names
    except struct.error:
        raise ConverterFailed(f"{path.name} is truncated or damaged") from None


def _follow(data: bytes, table: int, field: int) -> int | None:
    """Where the vector or string in `field` of a table begins; None if the table has none."""
    vtable = table - _at("<i", data, table)
    if 4 + 2 * field >= _at("<H", data, vtable):
        return None
    offset = _at("<H", data, vtable + 4 + 2 * field)
    if offset == 0:
        return None
    place = table + offset
    return place + _at("<I", data, place)


def _at(kind: str, data: bytes, place: int) -> int:
    if place < 0:
        raise struct.error
    value: int = struct.unpack_from(kind, data, place)[0]
    return value
