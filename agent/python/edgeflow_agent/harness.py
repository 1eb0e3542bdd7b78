"""The timed loop. It times; backends never do. Pure but for the clock: everything it does is passed in."""

from __future__ import annotations

import gc
import time
from array import array
from typing import Any, Callable, Dict, NamedTuple, Optional

from edgeflow_agent.faults import Fault
from edgeflow_agent.stats import MIN_SAMPLES_FOR_CI95, median, median_ci95

MIN_SAMPLES_IN_BUDGET = 3
"""A model slower than the whole budget is still run this often: one sample says nothing of its spread."""

FIRST_BATCH = 10

ProgressFn = Callable[[str, int, int, str], None]
"""Called with phase, done, total and a note, between batches only: never inside the timed loop."""


class Plan(NamedTuple):
    """A bench job's plan, as the protocol names its fields."""

    warmup_min_runs: int
    warmup_min_ns: int
    min_samples: int
    min_ns: int
    max_samples: int
    budget_ns: int
    ci_target: Optional[float]
    sample_period_ms: float

    @classmethod
    def from_meta(cls, plan: Any) -> Plan:
        """Reads and checks a plan. Raises Fault bad_request naming the field."""
        if not isinstance(plan, dict):
            raise Fault("bad_request", "a bench needs a plan")
        unknown = sorted(set(plan) - set(cls._fields))
        missing = [name for name in cls._fields if name not in plan]
        if unknown or missing:
            raise Fault("bad_request", "bench plan: unknown %s, missing %s" % (unknown, missing))
        for name in ("warmup_min_runs", "warmup_min_ns", "min_samples", "min_ns", "max_samples", "budget_ns"):
            if type(plan[name]) is not int or plan[name] < 0:
                raise Fault("bad_request", "bench plan: %s=%r is not a count" % (name, plan[name]))
        target, period = plan["ci_target"], plan["sample_period_ms"]
        if target is not None and not (type(target) in (int, float) and 0 < target < 1):
            raise Fault("bad_request", "bench plan: ci_target=%r is not between 0 and 1" % (target,))
        if type(period) not in (int, float) or not 1 <= period <= 3600000:
            raise Fault("bad_request", "bench plan: sample_period_ms=%r" % (period,))
        if not 1 <= plan["min_samples"] <= plan["max_samples"] <= 10000000:
            raise Fault("bad_request", "bench plan: needs 1 <= min_samples <= max_samples <= 10 million")
        return cls(**{name: plan[name] for name in cls._fields})


class BenchResult(NamedTuple):
    """Durations of every run in ns; `starts_ns` is on the monotonic clock, one for each sample."""

    warmup_ns: array[int]
    samples_ns: array[int]
    starts_ns: array[int]
    stop: str  # "ci" | "budget" | "max_samples"


class Loop(NamedTuple):
    """Inferences one after another, without a clock around each; times on the monotonic clock."""

    begin_ns: int
    end_ns: int
    runs: int


def repeat(
    run: Callable[[], None], duration_ns: int, clock_ns: Callable[[], int] = time.monotonic_ns
) -> Loop:
    """Runs for `duration_ns`, and at least once: what a power meter is to see."""
    gc.collect()
    gc.disable()
    try:
        runs = 0
        begin = now = clock_ns()
        while runs == 0 or now - begin < duration_ns:
            run()
            runs += 1
            now = clock_ns()
        return Loop(begin, now, runs)
    finally:
        gc.enable()


def clock_facts() -> Dict[str, Any]:
    """The clock of every `_ns` here: CLOCK_MONOTONIC on Linux, mach_absolute_time on macOS."""
    info = time.get_clock_info("monotonic")
    return {"name": "monotonic", "implementation": info.implementation, "resolution_s": info.resolution}


def bench(
    run: Callable[[], None],
    plan: Plan,
    progress: ProgressFn,
    clock_ns: Callable[[], int] = time.monotonic_ns,
) -> BenchResult:
    """Warms up, then samples until the median is known well enough, or the budget or max_samples ends it.

    Warm-up ends when both its minima are reached, or at `budget_ns` after at least one run. Samples come in
    growing batches; between two, once both minima of sampling are reached, the 95 % interval of the median is
    compared with `ci_target`.
    """
    gc.collect()
    gc.disable()
    try:
        warmup = _warm_up(run, plan, progress, clock_ns)
        return _sample(run, plan, progress, clock_ns, warmup)
    finally:
        gc.enable()


def _warm_up(
    run: Callable[[], None], plan: Plan, progress: ProgressFn, clock_ns: Callable[[], int]
) -> array[int]:
    durations = array("q")
    if not plan.warmup_min_runs and not plan.warmup_min_ns:
        return durations
    progress("warmup", 0, plan.warmup_min_runs, "")
    begin = clock_ns()
    while True:
        start = clock_ns()
        run()
        end = clock_ns()
        durations.append(end - start)
        elapsed = end - begin
        if len(durations) >= plan.warmup_min_runs and elapsed >= plan.warmup_min_ns:
            return durations
        if elapsed >= plan.budget_ns:
            return durations


def _sample(
    run: Callable[[], None],
    plan: Plan,
    progress: ProgressFn,
    clock_ns: Callable[[], int],
    warmup: array[int],
) -> BenchResult:
    samples = array("q")
    starts = array("q")
    floor = min(MIN_SAMPLES_IN_BUDGET, plan.max_samples)
    done = 0
    progress("run", 0, plan.max_samples, "")
    begin = clock_ns()
    deadline = begin + plan.budget_ns
    stop = ""
    while not stop:
        target = min(plan.max_samples, max(plan.min_samples, FIRST_BATCH, done + done // 2))
        # Grown between batches: what the timed process holds follows what was measured, not what might be.
        for series in (samples, starts):
            series.extend(array("q", bytes(8 * (target - len(series)))))
        done = timed_loop(run, clock_ns, samples, starts, done, target, deadline, floor)
        now = clock_ns()
        width = _relative_half_width(samples[:done])
        enough = done >= plan.min_samples and now - begin >= plan.min_ns
        if plan.ci_target is not None and enough and width is not None:
            stop = "ci" if width <= plan.ci_target else ""
        if not stop and done >= plan.max_samples:
            stop = "max_samples"
        if not stop and done >= floor and now >= deadline:
            stop = "budget"
        if not stop:
            progress("run", done, plan.max_samples, "" if width is None else "CI ±%.1f %%" % (100 * width))
    return BenchResult(warmup, samples[:done], starts[:done], stop)


def timed_loop(
    run: Callable[[], None],
    clock_ns: Callable[[], int],
    samples: array[int],
    starts: array[int],
    done: int,
    target: int,
    deadline: int,
    floor: int,
) -> int:
    """Runs and times from index `done` up to `target`, or to the deadline once `floor` are there.

    Nothing but the call lies between the two readings of the clock; the arrays are already allocated.
    """
    while done < target:
        start = clock_ns()
        run()
        end = clock_ns()
        starts[done] = start
        samples[done] = end - start
        done += 1
        if end >= deadline and done >= floor:
            break
    return done


def _relative_half_width(samples: array[int]) -> Optional[float]:
    if len(samples) < MIN_SAMPLES_FOR_CI95:
        return None
    middle = median(samples)
    if middle <= 0:
        return None
    low, high = median_ci95(samples)
    return (high - low) / 2 / middle
