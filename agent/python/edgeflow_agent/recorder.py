"""Reads power sources beside a run, from a thread of the core, each reading with its time."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Dict, List, Optional, Sequence

from edgeflow_agent.gauge import Refused
from edgeflow_agent.power import Row, Source, reason_of

MIN_INTERVALS = 3


class Track:
    """What one source said. `refused` is why it is of no use; `missed` counts readings that failed."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.t_ns: List[int] = []
        self.rows: List[Row] = []
        self.changes_ns: List[int] = []
        self.refused: Optional[str] = None
        self.missed = 0
        self.last_error: Optional[str] = None

    def poll(self, clock_ns: Callable[[], int]) -> None:
        """Takes one reading; its time is the middle of the time it took."""
        if self.refused is not None:
            return
        begin = clock_ns()
        try:
            row = self.source.read()
        except Refused as refused:
            self.refused = str(refused)
            return
        except OSError as error:
            self.missed += 1
            self.last_error = reason_of(error)
            return
        now = (begin + clock_ns()) // 2
        if self.rows and row[0] != self.rows[-1][0]:
            self.changes_ns.append(now)
        self.t_ns.append(now)
        self.rows.append(row)

    def period_ns(self) -> Optional[int]:
        """The time between two updates of the source, None until it has changed often enough to tell.

        The lower quartile of the times between changes, as equal readings in a row hide updates.
        """
        changes = list(self.changes_ns)
        intervals = sorted(changes[at] - changes[at - 1] for at in range(1, len(changes)))
        return intervals[len(intervals) // 4] if len(intervals) >= MIN_INTERVALS else None

    def updates_since(self, t_ns: int) -> int:
        """How often the reading has changed since."""
        return sum(1 for change in list(self.changes_ns) if change >= t_ns)

    def to_json(self) -> Dict[str, Any]:
        """The source's entry in a result, without its series."""
        return {
            "name": self.source.name,
            "kind": self.source.kind,
            "covers": self.source.covers,
            "quantity": self.source.quantity,
            "refused": self.refused,
            "period_ns": self.period_ns(),
            "updates": len(self.changes_ns),
            "missed": self.missed,
            "last_error": self.last_error,
        }


class Recorder:
    """Polls every source each `period_ms` from `start` to `stop`."""

    def __init__(
        self,
        sources: Sequence[Source],
        period_ms: float,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.tracks = [Track(source) for source in sources]
        self._period_s = period_ms / 1000.0
        self._clock_ns = clock_ns
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="power", daemon=True)

    def start(self) -> None:
        """Takes the first readings, so that a source that is refused is known, and goes on."""
        self._poll()
        self._thread.start()

    def stop(self) -> None:
        """Ends it with one last reading, so that the last window is enclosed by readings."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
            self._poll()

    def preferred(self) -> Optional[Track]:
        """The first source that answers and is not refused."""
        return next((track for track in self.tracks if track.refused is None and track.rows), None)

    def _loop(self) -> None:
        while not self._stopped.wait(self._period_s):
            self._poll()

    def _poll(self) -> None:
        for track in self.tracks:
            track.poll(self._clock_ns)
