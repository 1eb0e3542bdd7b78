"""Ids of results: short, sortable by time, unique."""

from __future__ import annotations

import secrets
import threading
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case: no i, l, o, u
_EPOCH_MS = 1_577_836_800_000  # 2020-01-01T00:00:00Z
_TIME_DIGITS = 8
_RANDOM_DIGITS = 4

_lock = threading.Lock()
_last = (0, 0)  # the newest id of this process: milliseconds, and the number behind them


def new_result_id() -> str:
    """Twelve characters of Crockford's base 32: eight of milliseconds since 2020 (enough until 2054), so
    that ids sort by time, and four random ones, so that two machines rarely meet; within one process ids
    always differ and grow. The store refuses a second result of one id.
    """
    global _last
    with _lock:
        elapsed_ms = time.time_ns() // 1_000_000 - _EPOCH_MS
        if elapsed_ms > _last[0]:
            _last = (elapsed_ms, secrets.randbits(5 * _RANDOM_DIGITS - 1))  # room to count up from there
        else:
            _last = (_last[0], _last[1] + 1)
        return _encode(_last[0], _TIME_DIGITS) + _encode(_last[1], _RANDOM_DIGITS)


def _encode(value: int, digits: int) -> str:
    return "".join(_ALPHABET[value >> 5 * place & 31] for place in reversed(range(digits)))
