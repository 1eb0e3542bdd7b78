"""The energy job: power of the idle device, of the device in a loop of inferences, and idle again.

The core samples in all three windows alike, so that its own draw cancels. No worker lives in the idle
windows: a runtime's threads may spin on after their last inference.
"""

from __future__ import annotations

import sys
import threading
import time
from array import array
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from edgeflow_agent.faults import Fault
from edgeflow_agent.gauge import Refused
from edgeflow_agent.power import probe
from edgeflow_agent.recorder import Recorder, Track
from edgeflow_agent.supervise import Worker
from edgeflow_agent.wire import Frame, FrameType, Tensor, tensors_of, with_tensors

CHECK_PERIOD_S = 0.05
SETTLE_UPDATES = 2  # a gauge may give a window's first reading from before it
STILL_MIN_NS = 2 * 10**9
LOOP_MARGIN = 1.5  # a loop whose updates are as rare as the rarest in the idle window still has enough

Window = Tuple[int, int]


class EnergyPlan(NamedTuple):
    """An energy job's plan, as the protocol names its fields."""

    window_min_ns: int
    window_max_ns: int
    settle_ns: int
    min_updates: int
    sample_period_ms: float

    @classmethod
    def from_meta(cls, plan: Any) -> EnergyPlan:
        """Reads and checks a plan. Raises Fault bad_request naming the field."""
        if set(plan) != set(cls._fields):
            raise Fault("bad_request", "an energy plan has the fields %s" % " ".join(cls._fields))
        for name in ("window_min_ns", "window_max_ns", "settle_ns", "min_updates"):
            if type(plan[name]) is not int or plan[name] < 0:
                raise Fault("bad_request", "energy plan: %s=%.40r is not a count" % (name, plan[name]))
        period = plan["sample_period_ms"]
        if type(period) not in (int, float) or not 1 <= period <= 3600000:
            raise Fault("bad_request", "energy plan: sample_period_ms=%.40r" % (period,))
        if not 0 < plan["window_min_ns"] <= plan["window_max_ns"]:
            raise Fault("bad_request", "energy plan: needs 0 < window_min_ns <= window_max_ns")
        return cls(**{name: plan[name] for name in cls._fields})


class EnergyRun:
    """One energy job from start to end. `run` blocks; `stop` may come from any thread."""

    def __init__(
        self,
        request: Frame,
        log_path: str,
        lock_fd: int,
        on_progress: Callable[[Mapping[str, Any]], None],
        *,
        root: str = "/",
    ) -> None:
        self._request = request
        self._log_path = log_path
        self._lock_fd = lock_fd
        self._on_progress = on_progress
        params = request.meta["params"]
        self._plan = EnergyPlan.from_meta(params["plan"])
        self._recorder = Recorder(probe(root), self._plan.sample_period_ms)
        self._timeout_ms: Optional[int] = params["limits"].get("timeout_ms")
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._stopped_by: Optional[Fault] = None
        self._worker: Optional[Worker] = None

    def stop(self, reason: Fault) -> None:
        """Ends the job with `reason`, in whatever window it is."""
        with self._lock:
            if self._stopped_by is None:
                self._stopped_by = reason
            if self._worker is not None:
                self._worker.stop(reason)
        self._stopped.set()

    def run(self) -> Frame:
        """Runs the windows and gives the answer; without a source that can be used, at once. Raises Fault."""
        answer = Frame(FrameType.RESPONSE, {"id": 1, "result": {}})
        windows: Optional[Dict[str, Window]] = None
        try:
            self._recorder.start()
            if self._recorder.preferred() is not None:
                before = self._idle("idle_before")
                self._refuse_the_still()
                # A charger may have been plugged in meanwhile, too: nobody needs the loop then.
                if self._recorder.preferred() is not None:
                    answer = self._loop()
                    loop = answer.meta["result"].pop("loop")
                    answer.meta["result"]["inferences"] = loop["inferences"]
                    windows = {
                        "idle_before": before,
                        "loop": (loop["begin_ns"], loop["end_ns"]),
                        "idle_after": self._idle("idle_after"),
                    }
        finally:
            self._recorder.stop()
        tensors = list(tensors_of(answer))
        sources = [_source(track, number, tensors) for number, track in enumerate(self._recorder.tracks)]
        answer.meta["result"]["power"] = {"sources": sources, "windows": windows}
        return with_tensors(FrameType.RESPONSE, answer.meta, tensors)

    def _idle(self, phase: str) -> Window:
        """Waits until the preferred source has told enough, or the window's longest time is over."""
        start = time.monotonic_ns()
        while True:
            now = time.monotonic_ns()
            begin = start + self._settle_ns()
            track = self._recorder.preferred()
            updates = 0 if track is None else track.updates_since(begin)
            elapsed = now - begin
            if elapsed >= self._plan.window_max_ns or track is None:
                return begin, max(begin, now)
            if not track.changes_ns and elapsed >= self._still_ns():
                return begin, now
            if elapsed >= self._plan.window_min_ns and updates >= self._plan.min_updates:
                return begin, now
            self._on_progress({"phase": phase, "done": updates, "total": self._plan.min_updates, "note": ""})
            self._stopped.wait(CHECK_PERIOD_S)
            self._check_limits(phase)

    def _still_ns(self) -> int:
        """A source that does not change for so long updates too rarely for the longest window."""
        return max(STILL_MIN_NS, 2 * self._plan.window_max_ns // max(1, self._plan.min_updates))

    def _refuse_the_still(self) -> None:
        """Gives up sources that never changed: they would hold up two more windows and tell nothing."""
        for track in self._recorder.tracks:
            if track.refused is None and track.rows and not track.changes_ns:
                seconds = (track.t_ns[-1] - track.t_ns[0]) / 1e9
                track.refused = "%s did not change once in %.3g s: how often it updates is not known" % (
                    track.source.name,
                    seconds,
                )

    def _loop(self) -> Frame:
        period = self._period_ns()
        duration = self._plan.window_max_ns
        if period is not None:
            needed = int(LOOP_MARGIN * self._plan.min_updates * period)
            duration = min(duration, max(self._plan.window_min_ns, needed))
        params = dict(self._request.meta["params"])
        params["plan"] = {"warmup_ns": self._settle_ns(), "loop_ns": duration}
        if self._timeout_ms is not None:
            left = self._timeout_ms - int(1000 * (time.monotonic() - self._began))
            params["limits"] = dict(params["limits"], timeout_ms=max(1, left))
        request = Frame(FrameType.REQUEST, dict(self._request.meta, params=params), self._request.body)
        with self._lock:
            if self._stopped_by is not None:
                raise self._stopped_by
            self._worker = Worker(request, self._log_path, self._lock_fd, self._on_progress)
        return self._worker.run()

    def _period_ns(self) -> Optional[int]:
        track = self._recorder.preferred()
        return None if track is None else track.period_ns()

    def _settle_ns(self) -> int:
        period = self._period_ns() or 0
        return max(self._plan.settle_ns, min(SETTLE_UPDATES * period, self._plan.window_max_ns))

    def _check_limits(self, phase: str) -> None:
        if self._stopped_by is not None:
            raise self._stopped_by
        if self._timeout_ms is not None and time.monotonic() - self._began > self._timeout_ms / 1000.0:
            message = "the job ran over its limit of %d ms in phase %s" % (self._timeout_ms, phase)
            raise Fault("timeout", message, phase=phase)


def _source(track: Track, number: int, tensors: List[Tensor]) -> Dict[str, Any]:
    """The entry of one source in the result; appends its series to `tensors` as set `number`."""
    found = dict(track.to_json(), set=number, step=0, assumed=[])
    if not track.rows:
        return found
    quantity = track.source.quantity
    try:
        series = track.source.series(track.t_ns, track.rows)
    except (Refused, OSError) as error:
        # A run is judged as a whole: what was read stands, but what it means is not known.
        found["refused"] = found["refused"] or str(error)
        return found
    found.update(step=series.step, assumed=series.assumed)
    for name, values in (("t_ns", track.t_ns), (quantity, series.values)):
        column = array("q", values)
        if sys.byteorder == "big":
            column.byteswap()
        tensors.append(Tensor(name, "int64", (len(column),), column.tobytes(), number))
    return found
