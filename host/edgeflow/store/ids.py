"""Ids of results: short, sortable by time, unique."""

from __future__ import annotations

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case: no i, l, o, u
_EPOCH_MS = 1_577_836_800_000  # 2020-01-01T00:00:00Z
_TIME_DIGITS = 8
_RANDOM_DIGITS = 4


def new_result_id() -> str:
    """Twelve characters of Crockford's base 32: eight of milliseconds since 2020 (enough until 2054), so
    that ids sort by time, and four random ones, so that two machines rarely meet. The store refuses a
    second result of one id.
    """
    elapsed_ms = time.time_ns() // 1_000_000 - _EPOCH_MS
    return _encode(elapsed_ms, _TIME_DIGITS) + _encode(secrets.randbits(5 * _RANDOM_DIGITS), _RANDOM_DIGITS)


def _encode(value: int, digits: int) -> str:
    return "".join(_ALPHABET[value >> 5 * place & 31] for place in reversed(range(digits)))
