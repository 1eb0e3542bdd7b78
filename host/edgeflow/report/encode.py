"""Raw series as compact text: each as its smallest value and what is above it, in as few bytes as that takes.

A run of a hundred inferences spreads over far less than its median: two or three bytes hold a sample to the
nanosecond, where its decimal digits take eight. Pure.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

MOST_SAMPLES = 1_500_000
"""In one report: ten thousand runs of a hundred stay whole. Longer runs are thinned above it, and told so."""


class SeriesWriter:
    """Collects series; `document` is what `series` of assets/data.js reads."""

    def __init__(self) -> None:
        self._index: dict[str, list[Any]] = {
            name: [] for name in ("row", "kind", "n", "low", "width", "every")
        }
        self._kinds: list[str] = []
        self._parts: list[bytes] = []

    def add(self, row: int, kind: str, values: Sequence[int], *, every: int = 1, steps: bool = False) -> None:
        """One series of the result in `row`. `every` is only written down: these are each so-many-th of the
        values that were measured. With `steps` differences are stored, the first from 0: for instants, which
        only grow.
        """
        taken = np.asarray(values, dtype=np.int64)
        if steps:
            taken = np.diff(taken, prepend=np.int64(0))
        low = int(taken.min()) if taken.size else 0
        above = (taken - low).astype("<u8")
        width = (int(above.max()).bit_length() + 7) // 8 if taken.size else 0
        if kind not in self._kinds:
            self._kinds.append(kind)
        for name, value in (
            ("row", row), ("kind", self._kinds.index(kind)), ("n", int(taken.size)), ("low", low),
            ("width", width), ("every", every),
        ):  # fmt: skip
            self._index[name].append(value)
        self._parts.append(above.view(np.uint8).reshape(-1, 8)[:, :width].tobytes())

    def document(self) -> dict[str, Any]:
        """Columns that say where each series lies, and the bytes of all as base64."""
        return {**self._index, "kinds": self._kinds, "data": base64.b64encode(b"".join(self._parts)).decode()}


def thinning(lengths: Sequence[int], most: int = MOST_SAMPLES) -> list[int]:
    """For each run, of how many samples one is kept so that all together are at most `most`. Short runs stay
    whole: only those above a common length are thinned.
    """
    if sum(lengths) <= most or not lengths:
        return [1] * len(lengths)
    room, ceiling = most, 0
    ordered = sorted(lengths)
    for index, length in enumerate(ordered):
        ceiling = max(1, room // (len(ordered) - index))
        if length > ceiling:
            break
        room -= length
    return [-(-length // ceiling) if length > ceiling else 1 for length in lengths]
