"""Reads FlatBuffers field by field, without a schema's generated code, and nothing outside of the data.

Layout (the FlatBuffers "Internals" page): a 32-bit offset to the root table, then a mark of four letters. A
table begins with the signed distance back to its vtable, which holds 16-bit field offsets, 0 for what is
absent. Vectors and strings begin with their length; strings, vectors and tables are reached by an offset.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any


class Damaged(Exception):
    """The data ends early, or points to where nothing is."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table; its fields by their numbers."""

    data: bytes
    place: int

    def number(self, field: int, kind: str, default: float = 0) -> Any:
        """A scalar by its struct letter; `default` where it is absent, as FlatBuffers leaves defaults out."""
        place = self._field(field)
        return default if place is None else at(self.data, place, kind)

    def text(self, field: int) -> str:
        """A string; "" where it is absent. Raises Damaged."""
        place = self._target(field)
        return "" if place is None else _text(self.data, place)

    def texts(self, field: int) -> list[str]:
        """A vector of strings."""
        return [_text(self.data, place) for place in self._targets(field)]

    def table(self, field: int) -> Table | None:
        place = self._target(field)
        return None if place is None else Table(self.data, place)

    def tables(self, field: int) -> list[Table]:
        """A vector of tables."""
        return [Table(self.data, place) for place in self._targets(field)]

    def numbers(self, field: int, kind: str) -> list[int]:
        """A vector of scalars."""
        place = self._target(field)
        if place is None:
            return []
        size = struct.calcsize(kind)
        count = _length(self.data, place, size)
        return [at(self.data, place + 4 + size * index, kind) for index in range(count)]

    def content(self, field: int) -> bytes:
        """A vector of bytes."""
        place = self._target(field)
        if place is None:
            return b""
        count = _length(self.data, place, 1)
        return self.data[place + 4 : place + 4 + count]

    def length(self, field: int) -> int:
        """How many elements a vector has, whatever they are."""
        place = self._target(field)
        return 0 if place is None else _length(self.data, place, 1)

    def _targets(self, field: int) -> list[int]:
        place = self._target(field)
        if place is None:
            return []
        slots = [place + 4 + 4 * index for index in range(_length(self.data, place, 4))]
        return [slot + at(self.data, slot, "<I") for slot in slots]

    def _target(self, field: int) -> int | None:
        place = self._field(field)
        return None if place is None else place + at(self.data, place, "<I")

    def _field(self, field: int) -> int | None:
        vtable = self.place - at(self.data, self.place, "<i")
        if 4 + 2 * field >= at(self.data, vtable, "<H"):
            return None
        offset = at(self.data, vtable + 4 + 2 * field, "<H")
        return self.place + offset if offset else None


def root(data: bytes) -> Table:
    """The root table. Raises Damaged."""
    return Table(data, at(data, 0, "<I"))


def mark(data: bytes) -> bytes:
    """The four letters that tell what the data is."""
    return data[4:8]


def at(data: bytes, place: int, kind: str) -> Any:
    """The scalar at a place. Raises Damaged."""
    if place < 0:
        raise Damaged("it points before its beginning")
    try:
        return struct.unpack_from(kind, data, place)[0]
    except struct.error as error:
        raise Damaged("it ends early") from error


def _length(data: bytes, place: int, size: int) -> int:
    count: int = at(data, place, "<I")
    if place + 4 + count * size > len(data):
        raise Damaged("it ends early")
    return count


def _text(data: bytes, place: int) -> str:
    count = _length(data, place, 1)
    return data[place + 4 : place + 4 + count].decode("utf-8", errors="replace")
