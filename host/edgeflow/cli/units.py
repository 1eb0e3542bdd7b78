"""Numbers as people read them. Pure."""

from __future__ import annotations

import math

_BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def bytes_text(size_bytes: float | None) -> str:
    """Three significant digits in binary units: 6.47 MiB."""
    if size_bytes is None:
        return "unknown"
    value, unit = float(size_bytes), 0
    while abs(value) >= 1024 and unit < len(_BYTE_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    digits = ".0f" if unit == 0 or abs(value) >= 999.5 else ".3g"
    return f"{value:{digits}} {_BYTE_UNITS[unit]}"


def ms_text(ms: float | None, *, like: float | None = None) -> str:
    """Milliseconds with as many digits as the size deserves; microseconds below a hundredth.

    `like`: figures in one row take the unit of this one, so that they can be compared at a glance.
    """
    if ms is None:
        return "unknown"
    if like is not None and (like < 0.01) != (ms < 0.01):
        return f"{ms * 1000:.0f} µs" if like < 0.01 else f"{ms:.4f} ms"
    if ms < 0.01:
        return f"{ms * 1000:.3g} µs"
    if ms < 1:
        return f"{ms:.3f} ms"
    if ms < 100:
        return f"{ms:.2f} ms"
    return f"{ms:.0f} ms" if ms < 10_000 else f"{ms / 1000:.1f} s"


def percent_text(share: float) -> str:
    """A share of one as percent: 0.012 -> 1.2 %."""
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"


def cosine_text(cosine: float) -> str:
    """A lower bound in six digits, rounded down so that it stays one."""
    return f"{math.floor(cosine * 1e6) / 1e6:.6f}"


def count_text(count: int, noun: str) -> str:
    """A count with its noun: 1 thread, 2 threads."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
