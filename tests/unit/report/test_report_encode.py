"""Raw series in a report: nothing is lost, and what is thinned is as little as it must be."""

from __future__ import annotations

import base64
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow.report.encode import SeriesWriter, thinning

INT = st.integers(-(2**52), 2**52)


def decoded(document: dict[str, object], at: int) -> list[int]:
    """As assets/data.js reads it, before steps are summed."""
    widths, counts, lows = document["width"], document["n"], document["low"]
    assert isinstance(widths, list) and isinstance(counts, list) and isinstance(lows, list)
    data = base64.b64decode(str(document["data"]))
    offset = sum(width * n for width, n in zip(widths[:at], counts[:at], strict=True))
    width = widths[at]
    parts = (data[offset + i * width : offset + (i + 1) * width] for i in range(counts[at]))
    return [lows[at] + int.from_bytes(part, "little") for part in parts]


@given(st.lists(st.lists(INT, max_size=20), max_size=5))
def test_values_come_back_as_they_were(many: list[list[int]]) -> None:
    writer = SeriesWriter()
    for row, values in enumerate(many):
        writer.add(row, "samples_ns", values)
    document = writer.document()
    assert [decoded(document, at) for at in range(len(many))] == many


def test_instants_are_stored_as_steps() -> None:
    writer = SeriesWriter()
    instants = [10**15 + 4_000_000 * at for at in range(50)]
    writer.add(0, "starts_ns", instants[1:], steps=True)
    writer.add(0, "samples_ns", [7] * 50)
    document = writer.document()
    assert list(accumulate(decoded(document, 0))) == instants[1:]
    assert decoded(document, 1) == [7] * 50
    assert document["kinds"] == ["starts_ns", "samples_ns"]


def test_a_hundred_samples_take_three_bytes_each() -> None:
    writer = SeriesWriter()
    writer.add(0, "samples_ns", [30_000_000 + 70_000 * at for at in range(100)])
    assert writer.document()["width"] == [3]


@given(st.lists(st.integers(0, 5000), max_size=30), st.integers(1000, 20_000))
def test_thinning_keeps_the_limit_and_leaves_short_runs_alone(lengths: list[int], most: int) -> None:
    steps = thinning(lengths, most)
    kept = [-(-length // step) for length, step in zip(lengths, steps, strict=True)]
    assert sum(kept) <= most
    if sum(lengths) <= most:
        assert set(steps) <= {1}
    thinned = [length for length, step in zip(lengths, steps, strict=True) if step > 1]
    whole = [length for length, step in zip(lengths, steps, strict=True) if step == 1]
    assert not thinned or not whole or max(whole) <= min(thinned)


@pytest.mark.parametrize("lengths", [[], [0], [5, 5]])
def test_what_fits_stays_whole(lengths: list[int]) -> None:
    assert thinning(lengths, 10) == [1] * len(lengths)
