"""Reads FlatBuffers by field number, without a schema compiler.

A table begins with the signed distance back to its vtable, which holds the table's 16-bit field offsets after
two sizes; an offset of 0 is a field with its default. Strings and vectors lie behind a 32-bit forward offset
and begin with their length. Source: the FlatBuffers "Internals" page. Every read is checked: a file that was
cut raises Damaged, never something else.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Damaged(Exception):
    """The bytes are no FlatBuffer, or not all of it."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table in `data`, which begins at `place`."""

    data: bytes
    place: int

    def number(self, field: int, kind: str, default: float = 0) -> Any:
        """A scalar, `kind` being struct's letter for it."""
        place = self._place(field)
        return default if place is None else _at("<" + kind, self.data, place)

    def text(self, field: int) -> str:
        """A string, "" where there is none."""
        return self.content(field).decode(errors="replace")

    def content(self, field: int) -> bytes:
        """The bytes of a string or of a vector of bytes."""
        start, count = self._vector(field)
        if start + count > len(self.data):
            raise Damaged("a vector reaches beyond the end")
        return self.data[start : start + count]

    def numbers(self, field: int, dtype: str) -> NDArray[Any]:
        """A vector of scalars of a numpy dtype; empty where there is none."""
        import numpy as np

        start, count = self._vector(field)
        if start + count * np.dtype(dtype).itemsize > len(self.data):
            raise Damaged("a vector reaches beyond the end")
        return np.frombuffer(self.data, dtype, count, start)

    def table(self, field: int) -> Table | None:
        """A table or the table of a union, None where there is none."""
        place = self._place(field)
        return None if place is None else Table(self.data, place + _at("<I", self.data, place))

    def tables(self, field: int) -> Sequence[Table]:
        """A vector of tables."""
        start, count = self._vector(field)
        if start + 4 * count > len(self.data):
            raise Damaged("a vector reaches beyond the end")
        places = [start + 4 * index for index in range(count)]
        return [Table(self.data, place + _at("<I", self.data, place)) for place in places]

    def _vector(self, field: int) -> tuple[int, int]:
        place = self._place(field)
        if place is None:
            return 0, 0
        start = place + _at("<I", self.data, place)
        return start + 4, _at("<I", self.data, start)

    def _place(self, field: int) -> int | None:
        vtable = self.place - _at("<i", self.data, self.place)
        if 4 + 2 * field >= _at("<H", self.data, vtable):
            return None
        offset = _at("<H", self.data, vtable + 4 + 2 * field)
        return self.place + offset if offset else None


def root(data: bytes) -> Table:
    """The table that a FlatBuffer is. Raises Damaged."""
    return Table(data, _at("<I", data, 0))


def _at(kind: str, data: bytes, place: int) -> int:
    if place < 0:
        raise Damaged("an offset points before the beginning")
    try:
        value: int = struct.unpack_from(kind, data, place)[0]
    except struct.error:
        raise Damaged("an offset points beyond the end") from None
    return value
