"""From power readings beside a loop of inferences to energy per inference, or why there is none. Pure.

With P the mean power of a window and the idle power taken as the mean of the windows before and after:

    E = (P_loop - (P_before + P_after) / 2) * window / inferences

Its uncertainty U (about 95 %) adds in quadrature, as the Guide to the Expression of Uncertainty in
Measurement (JCGM 100:2008) has it:

- of each window's mean, t * s / sqrt(n_e), of means over blocks of one update of the source each, so that a
  reading that is polled twice counts once. Blocks are taken to follow each other as AR(1) with the lag-1
  correlation r of all windows: n of them say as much as n_e = n (1 - r) / (1 + r) independent ones (Zieba,
  Metrology and Measurement Systems 17, 2010), and t has the freedom of all windows. Idle weighs a half each;
- of the source's resolution q, 2 * q / sqrt(6): two means, each off by up to q/2, never averaged down;
- of the drift of idle, |P_after - P_before| / 2: in the loop it may have been either.

The gauge's own calibration is unknown to the system and not in it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from statistics import fmean, stdev
from typing import Any

MIN_UPDATES = 8
"""Fewer updates of the source in a window say nothing of its mean."""

MAX_GAP = 0.2
"""Of a window: a source that was silent for longer may have missed what matters."""

_MAX_BLOCKS = 200
_MAX_CORRELATION = 0.99
_S = 1_000_000_000
_WINDOWS = {"idle_before": "idle before", "loop": "loop", "idle_after": "idle after"}


@dataclass(frozen=True, slots=True)
class EnergyPlan:
    """The plan of an energy job, by the names of agent/PROTOCOL.md."""

    window_min_ns: int
    window_max_ns: int
    settle_ns: int
    min_updates: int
    sample_period_ms: int

    def to_wire(self) -> dict[str, int]:
        """The `plan` of `job.start`."""
        return asdict(self)

    @property
    def longest_s(self) -> float:
        """The three windows and what settles between them, at the longest; without loading the model."""
        return (3 * self.window_max_ns + 3 * max(self.settle_ns, self.window_max_ns)) / _S


def energy_plan_for(mode: str, *, budget_s: float | None = None) -> EnergyPlan:
    """The plan of a mode of BenchPlan; `budget_s` is then the longest for each of the three windows."""
    plan = (
        EnergyPlan(3 * _S, 20 * _S, _S // 2, 12, 50)
        if mode == "quick"
        else EnergyPlan(10 * _S, 60 * _S, 2 * _S, 24, 50)
    )
    if budget_s is None:
        return plan
    longest = max(1, min(plan.window_max_ns, round(budget_s * _S)))
    return EnergyPlan(min(plan.window_min_ns, longest), longest, plan.settle_ns, plan.min_updates, 50)


@dataclass(frozen=True, slots=True)
class PowerSource:
    """What one source of the device said in a run. `values` are µW, or for "energy_uj" a growing count of µJ.

    `refused` is why the agent gave it up; `step` is its resolution in the unit of `values`; `period_ns` is
    the time between two of its updates, None where it changed too rarely to tell.
    """

    name: str
    covers: str
    quantity: str
    refused: str | None
    period_ns: int | None
    updates: int
    last_error: str | None
    step: int
    assumed: tuple[str, ...]
    t_ns: tuple[int, ...] = ()
    values: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class EnergyRun:
    """One energy job: sources in order of preference, and [begin, end] of each window (None: it had none)."""

    sources: tuple[PowerSource, ...]
    windows: Mapping[str, tuple[int, int]] | None = None
    inferences: int = 0


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy per inference above idle, in mJ, with its 95 % uncertainty; or `reason` and nothing else.

    `covers` is what the source measures. `rate_hz` is how often it really updates, `samples` the readings in
    the loop window. `assumed` is what was taken for granted; `rejected`: why better sources were not used.
    """

    reason: str | None = None
    mj_per_inference: float | None = None
    uncertainty_mj: float | None = None
    source: str | None = None
    covers: str | None = None
    idle_mw: float | None = None
    loop_mw: float | None = None
    window_s: float | None = None
    inferences: int | None = None
    rate_hz: float | None = None
    samples: int | None = None
    assumed: tuple[str, ...] = ()
    rejected: Mapping[str, str] = field(default_factory=dict)

    @property
    def available(self) -> bool:
        return self.mj_per_inference is not None

    def to_json(self) -> dict[str, Any]:
        """The `energy` object of a result document."""
        return {"available": self.available, **asdict(self), "assumed": list(self.assumed)}


def energy_of(run: EnergyRun) -> Energy:
    """The figure of the first source that gives one. Where none does, `reason` names each and why."""
    rejected: dict[str, str] = {}
    for source in run.sources:
        try:
            return _figure(source, run, rejected)
        except _NotMeasurable as error:
            rejected[source.name] = str(error)
    reason = "; ".join(rejected.values()) or "no sensor of the device tells its power"
    return Energy(reason=reason, rejected=rejected)


class _NotMeasurable(Exception):
    """A rule is broken; the text says which, beginning with the source's name."""


def _figure(source: PowerSource, run: EnergyRun, rejected: Mapping[str, str]) -> Energy:
    if source.refused is not None:
        raise _NotMeasurable(source.refused)
    if run.windows is None or not source.t_ns:
        raise _NotMeasurable(f"{source.name} did not answer: {source.last_error or 'it was never read'}")
    windows = run.windows
    for name in windows:
        _check_answers(source, _WINDOWS[name], windows[name])
    seconds = (source.t_ns[-1] - source.t_ns[0]) / _S
    if source.period_ns is None or source.updates < MIN_UPDATES:
        raise _NotMeasurable(
            f"{source.name} changed only {source.updates} times in {seconds:.0f} s: how often it updates is "
            "not known"
        )
    for name, (begin, end) in windows.items():
        if end - begin < MIN_UPDATES * source.period_ns:
            raise _NotMeasurable(
                f"{source.name} updates every {source.period_ns / _S:.2g} s, too rarely for the "
                f"{(end - begin) / _S:.2g} s of {_WINDOWS[name]}: {MIN_UPDATES} updates are needed"
            )
    blocks = {name: _blocks_mw(source, span, source.period_ns) for name, span in windows.items()}
    means = {name: fmean(values) for name, values in blocks.items()}
    correlation = _correlation(list(blocks.values()))
    worth = (1 - correlation) / (1 + correlation)
    t = _t975(worth * sum(len(values) for values in blocks.values()) - len(blocks))
    u95 = {name: t * stdev(values) / math.sqrt(worth * len(values)) for name, values in blocks.items()}
    begin, end = windows["loop"]
    window_s = (end - begin) / _S
    loop_mw, idle_mw = means["loop"], (means["idle_before"] + means["idle_after"]) / 2
    u_mw = math.hypot(
        u95["loop"],
        u95["idle_before"] / 2,
        u95["idle_after"] / 2,
        2 * _resolution_mw(source, windows) / math.sqrt(6),
        abs(means["idle_after"] - means["idle_before"]) / 2,
    )
    extra_mw = loop_mw - idle_mw
    if u_mw >= extra_mw:
        raise _NotMeasurable(
            f"{source.name}: {loop_mw:.4g} mW in the loop cannot be told from {idle_mw:.4g} mW idle "
            f"(a difference of {extra_mw:.3g} ± {u_mw:.2g} mW)"
        )
    per_inference_s = window_s / run.inferences
    return Energy(
        mj_per_inference=extra_mw * per_inference_s,
        uncertainty_mj=u_mw * per_inference_s,
        source=source.name,
        covers=source.covers,
        idle_mw=idle_mw,
        loop_mw=loop_mw,
        window_s=window_s,
        inferences=run.inferences,
        rate_hz=_S / source.period_ns,
        samples=len(range(*_inside(source.t_ns, begin, end))),
        assumed=source.assumed,
        rejected=rejected,
    )


def _check_answers(source: PowerSource, window: str, span: tuple[int, int]) -> None:
    inside = source.t_ns[slice(*_inside(source.t_ns, *span))]
    gap = max(after - before for before, after in pairwise((span[0], *inside, span[1])))
    if gap > MAX_GAP * (span[1] - span[0]):
        why = f" ({source.last_error})" if source.last_error else ""
        raise _NotMeasurable(f"{source.name} gave nothing for {gap / _S:.2g} s of {window}{why}")


def _blocks_mw(source: PowerSource, span: tuple[int, int], period_ns: int) -> list[float]:
    """Mean power over each update of the source in a window; over longer pieces where there are very many."""
    begin, end = span
    count = min(_MAX_BLOCKS, (end - begin) // period_ns)
    edges = [begin + (end - begin) * index // count for index in range(count + 1)]
    return [_mean_mw(source, low, high) for low, high in pairwise(edges)]


def _correlation(windows: Sequence[Sequence[float]]) -> float:
    """The lag-1 autocorrelation about each window's own mean, over all; never under 0.

    The estimate from n values is low by about (1 + 3 r) / n (Kendall, Biometrika 41, 1954), which is added.
    """
    products = squares = 0.0
    for values in windows:
        mean = fmean(values)
        products += math.fsum((a - mean) * (b - mean) for a, b in pairwise(values))
        squares += math.fsum((value - mean) ** 2 for value in values)
    if squares == 0:
        return 0.0
    seen = products / squares
    shortest = min(len(values) for values in windows)
    return min(_MAX_CORRELATION, max(0.0, seen + (1 + 3 * seen) / shortest))


def _t975(freedom: float) -> float:
    """Student's t, 97.5 %, by the expansion 26.7.5 of Abramowitz & Stegun; from 2 degrees of freedom on."""
    z, freedom = 1.959964, max(2.0, freedom)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def _mean_mw(source: PowerSource, begin: int, end: int) -> float:
    """Mean power between two instants; of a counter, by its values there, linear between readings."""
    if source.quantity == "energy_uj":
        used_uj = _at(source, end) - _at(source, begin)
        return used_uj / ((end - begin) / _S) / 1000
    first, last = _inside(source.t_ns, begin, end)
    if first == last:  # between two readings: the one before holds
        return source.values[max(0, first - 1)] / 1000
    return fmean(source.values[first:last]) / 1000


def _at(source: PowerSource, t_ns: int) -> float:
    index = min(max(1, bisect_left(source.t_ns, t_ns)), len(source.t_ns) - 1)
    low, high = source.t_ns[index - 1], source.t_ns[index]
    before, after = source.values[index - 1], source.values[index]
    return before + (after - before) * (t_ns - low) / (high - low)


def _resolution_mw(source: PowerSource, windows: Mapping[str, tuple[int, int]]) -> float:
    if source.quantity == "power_uw":
        return source.step / 1000
    return source.step / (min(end - begin for begin, end in windows.values()) / _S) / 1000


def _inside(t_ns: Sequence[int], begin: int, end: int) -> tuple[int, int]:
    return bisect_left(t_ns, begin), bisect_right(t_ns, end)
