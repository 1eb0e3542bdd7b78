"""Whether a measurement can be trusted, with every reason in words and numbers. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from edgeflow.bench.conditions import Conditions
from edgeflow.bench.plan import BenchPlan
from edgeflow.bench.stats import LatencySummary
from edgeflow_agent.stats import MIN_SAMPLES_FOR_CI95

State = Literal["valid", "suspect", "invalid"]


@dataclass(frozen=True, slots=True)
class Limit:
    """From `suspect` on a figure lowers a result's validity, from `invalid` on it voids it (None: never)."""

    suspect: float
    invalid: float | None
    why: str

    def state(self, value: float) -> State:
        if self.invalid is not None and value >= self.invalid:
            return "invalid"
        return "suspect" if value >= self.suspect else "valid"


CI_HALF_WIDTH = Limit(0.05, 0.20, "relative; a comparison of two such results sees nothing smaller")
DRIFT = Limit(
    0.05, 0.20, "relative change of the median from first to last third, if the trend is significant"
)
OTHER_LOAD = Limit(0.15, 0.50, "fraction of all cores used by other processes")
TEMPERATURE_RISE_C = Limit(10.0, None, "a device that heats up measures the order of the runs")
OUTLIERS = Limit(0.10, None, "fraction of samples; the median bears more, but they tell of a disturbance")
MIN_SAMPLES_SUSPECT = 20
"""The thresholds. Below the six samples that a 95 % interval of the median needs, a result is invalid.
Throttling and more threads than cores make it suspect, emulation and wrong outputs invalid. In `sustained`
mode heat is the subject: drift, throttling and the rise of temperature are notes there, not reasons."""


@dataclass(frozen=True, slots=True)
class Validity:
    """The verdict. `reasons` lowered the state, the gravest first; `notes` are what a reader should know."""

    state: State
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The `validity` object of a result document."""
        return {"state": self.state, "reasons": list(self.reasons), "notes": list(self.notes)}


Finding = tuple[State, str]


def judge(
    summary: LatencySummary,
    conditions: Conditions,
    *,
    plan: BenchPlan,
    emulated: bool,
    threads: int,
    cores: int,
    numerics_pass: bool | None,
    wrong_answer: str = "",
) -> Validity:
    """The verdict on one measurement. `numerics_pass` is None where outputs were not compared; `wrong_answer`
    says how the model's answer to a labelled input differs from the label.

    `cores` are those the worker could run on: all of the device's, or those it was bound to.
    """
    findings: list[Finding] = [
        *_circumstances(emulated, threads, cores, numerics_pass),
        *_answer(wrong_answer),
        *_samples(summary),
        *_load(conditions),
    ]
    notes = [*_unknown(conditions, numerics_pass), *_weak_figures(summary, plan)]
    heat = [*_drift(summary), *_heat(conditions)]
    if plan.mode == "sustained":
        notes += [words for _, words in heat]
    else:
        findings += heat
    findings.sort(key=lambda finding: finding[0] != "invalid")
    return Validity(
        findings[0][0] if findings else "valid", tuple(words for _, words in findings), tuple(notes)
    )


def _circumstances(emulated: bool, threads: int, cores: int, numerics_pass: bool | None) -> Iterator[Finding]:
    if emulated:
        yield "invalid", "emulated"
    if numerics_pass is False:
        yield "invalid", "outputs disagree with the reference"
    if threads > cores:
        yield "suspect", f"threads {threads} > {cores} core{'s' if cores > 1 else ''}"


def _answer(wrong_answer: str) -> Iterator[Finding]:
    if wrong_answer:
        yield "suspect", wrong_answer


def _samples(summary: LatencySummary) -> Iterator[Finding]:
    n = summary.n
    if n < MIN_SAMPLES_SUSPECT:
        yield "invalid" if n < MIN_SAMPLES_FOR_CI95 else "suspect", f"only {n} sample{'s' if n > 1 else ''}"
    if n >= MIN_SAMPLES_FOR_CI95 and (state := CI_HALF_WIDTH.state(summary.ci_half_width)) != "valid":
        yield state, f"CI ±{_percent(summary.ci_half_width)}"
    outliers = summary.outliers
    if (state := OUTLIERS.state(outliers.count / n)) != "valid":
        where = {
            "start": "most at the start: the warm-up was too short",
            "burst": "most in bursts: something else ran beside",
            "isolated": "most of them isolated",
            "drift": "over a trend",
            "none": "",
        }[outliers.pattern]
        yield state, f"{outliers.count} of {n} samples are outliers ({where})"


def _load(conditions: Conditions) -> Iterator[Finding]:
    other = conditions.other_load
    if other is not None and (state := OTHER_LOAD.state(other)) != "valid":
        yield state, f"other load {_percent(other)}"


def _drift(summary: LatencySummary) -> Iterator[Finding]:
    drift = summary.drift
    if drift.significant and (state := DRIFT.state(abs(drift.change))) != "valid":
        yield state, f"drift {drift.change * 100:+.0f} % first to last third"


def _heat(conditions: Conditions) -> Iterator[Finding]:
    if conditions.throttled and conditions.top_mhz is not None:
        top, end = conditions.top_mhz
        yield "suspect", f"throttled: {top / 1000:.1f} -> {end / 1000:.1f} GHz"
    start, highest = conditions.temperature_c.start, conditions.temperature_c.max
    if start is not None and highest is not None:
        state = TEMPERATURE_RISE_C.state(highest - start)
        if state != "valid":
            yield state, f"temperature rose {highest - start:.0f} °C"


def _unknown(conditions: Conditions, numerics_pass: bool | None) -> Iterator[str]:
    if numerics_pass is None:
        yield "outputs were not compared with a reference"
    if conditions.other_load is None:
        yield "other load is not known on this device"
    if conditions.throttled is None:
        given = "temperature alone" if conditions.temperature_c.max is not None else "neither"
        yield f"throttling is not known: of frequency and temperature the system gives {given}"


def _weak_figures(summary: LatencySummary, plan: BenchPlan) -> Iterator[str]:
    if summary.weak_percentiles:
        yield f"{summary.n} samples are too few for {', '.join(summary.weak_percentiles)}"
    target = plan.ci_target
    if target is not None and target < summary.ci_half_width < CI_HALF_WIDTH.suspect:
        yield f"CI ±{_percent(summary.ci_half_width)}: its target of ±{_percent(target)} was not reached"


def _percent(fraction: float) -> str:
    return f"{fraction * 100:.1f} %" if fraction < 0.1 else f"{fraction * 100:.0f} %"
