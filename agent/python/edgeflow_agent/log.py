"""The core's log: lines to stderr (a daemon's agent.log), the newest kept for `logs`."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from typing import Deque, List

KEPT_LINES = 500


class Log:
    """Writes timestamped lines; many threads may."""

    def __init__(self) -> None:
        self._lines: Deque[str] = deque(maxlen=KEPT_LINES)
        self._lock = threading.Lock()

    def line(self, text: str) -> None:
        """Appends one line with the time of now."""
        stamped = time.strftime("%Y-%m-%dT%H:%M:%S%z ") + text
        with self._lock:
            self._lines.append(stamped)
            try:
                sys.stderr.write(stamped + "\n")
                sys.stderr.flush()
            except OSError:
                pass  # whoever read stderr is gone, or the disk is full: the kept lines remain

    def tail(self, count: int) -> List[str]:
        """The newest `count` lines, oldest first."""
        with self._lock:
            return list(self._lines)[-count:] if count > 0 else []


def rfc3339_now() -> str:
    """The time of now in UTC, as the protocol writes times."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
