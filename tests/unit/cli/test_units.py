"""Numbers as people read them."""

from __future__ import annotations

import pytest

from edgeflow.cli.units import bytes_text, count_text, ms_text, percent_text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (None, "unknown"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (6783084, "6.47 MiB"),
        (-2048, "-2 KiB"),
        (1020 * 1024, "1020 KiB"),
    ],
)
def test_bytes(size_bytes: int | None, text: str) -> None:
    assert bytes_text(size_bytes) == text


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, "unknown"),
        (0.0042, "4.2 µs"),
        (0.5, "0.500 ms"),
        (4.721, "4.72 ms"),
        (250.4, "250 ms"),
        (12345, "12.3 s"),
    ],
)
def test_ms(ms: float | None, text: str) -> None:
    assert ms_text(ms) == text


def test_figures_of_one_row_have_one_unit() -> None:
    assert ms_text(0.012, like=0.0042) == "12 µs"
    assert ms_text(0.0042, like=0.012) == "0.0042 ms"
    assert ms_text(4.721, like=4.0) == "4.72 ms"


def test_shares_and_counts() -> None:
    assert percent_text(0.012) == "1.2 %"
    assert percent_text(0.6) == "60 %"
    assert count_text(1, "thread") == "1 thread"
    assert count_text(0, "thread") == "0 threads"
