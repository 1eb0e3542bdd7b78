"""From raw samples to figures: robust location and spread, outliers, and drift. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from edgeflow_agent.stats import MIN_SAMPLES_FOR_CI95, median, median_ci95

_MS = 1e-6  # ns -> ms
_OUTLIER_SCORE = 3.5
_TREND_BLOCKS = 60
_TREND_MIN_BLOCKS = 8
_TREND_P = 0.01

OutlierPattern = Literal["none", "isolated", "start", "burst", "drift"]


@dataclass(frozen=True, slots=True)
class Outliers:
    """Samples whose modified z-score is above 3.5 (Iglewicz & Hoaglin 1993), by where they lie.

    `at_start`: in the first tenth, so warm-up was too short. `burst`: beside another one, so something
    else ran for a while. `isolated`: the rest (an interrupt, a page fault). `pattern` is the most
    frequent of these, or "drift" when the samples have a trend and single outliers mean little.
    """

    count: int
    at_start: int
    burst: int
    isolated: int
    pattern: OutlierPattern


@dataclass(frozen=True, slots=True)
class Drift:
    """How the latency moved while it was measured. `change` is relative: +0.06 is 6 % slower at the end.

    `p_value` is the Mann-Kendall trend test's; None with fewer than eight samples.
    """

    first_third_ms: float
    last_third_ms: float
    change: float
    p_value: float | None

    @property
    def significant(self) -> bool:
        return self.p_value is not None and self.p_value < _TREND_P


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """The figures of one series of samples, in milliseconds.

    Percentiles are Hyndman & Fan's type 7 (1996; linear, as numpy and R do). `mad` is the raw median
    absolute deviation, not scaled to a normal's sigma. `std` has n - 1 in its denominator. `ci95` is the
    distribution-free 95 % interval of the median, None below the six samples it needs. A percentile named in
    `weak_percentiles` has no sample beyond it (p99 needs 100 samples) and is the maximum in disguise.
    """

    median: float
    mad: float
    mean: float
    std: float
    min: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float
    n: int
    ci95: tuple[float, float] | None
    outliers: Outliers
    drift: Drift
    weak_percentiles: tuple[str, ...]

    @property
    def ci_half_width(self) -> float:
        """Half the width of `ci95`, relative to the median (0.02 is 2 %); infinite where there is none."""
        if self.ci95 is None or self.median <= 0:
            return math.inf
        return (self.ci95[1] - self.ci95[0]) / 2 / self.median

    def to_json(self) -> dict[str, Any]:
        """The `latency_ms` object of a result document."""
        data = asdict(self)
        data["ci95"] = None if self.ci95 is None else list(self.ci95)
        data["weak_percentiles"] = list(self.weak_percentiles)
        return data


def summarize(samples_ns: Sequence[int]) -> LatencySummary:
    """The figures of warm samples, in the order they were taken. Raises ValueError for none at all."""
    n = len(samples_ns)
    if n == 0:
        raise ValueError("no samples to summarize")
    ordered = sorted(samples_ns)
    middle = median(ordered)
    mean = math.fsum(ordered) / n
    variance = math.fsum((value - mean) ** 2 for value in ordered) / (n - 1) if n > 1 else 0.0
    interval = median_ci95(ordered) if n >= MIN_SAMPLES_FOR_CI95 else None
    drift = drift_of(samples_ns)
    return LatencySummary(
        median=middle * _MS,
        mad=median(sorted(abs(value - middle) for value in ordered)) * _MS,
        mean=mean * _MS,
        std=math.sqrt(variance) * _MS,
        min=ordered[0] * _MS,
        p50=quantile(ordered, 0.50) * _MS,
        p90=quantile(ordered, 0.90) * _MS,
        p95=quantile(ordered, 0.95) * _MS,
        p99=quantile(ordered, 0.99) * _MS,
        max=ordered[-1] * _MS,
        n=n,
        ci95=None if interval is None else (interval[0] * _MS, interval[1] * _MS),
        outliers=find_outliers(samples_ns, drifting=drift.significant),
        drift=drift,
        weak_percentiles=tuple(f"p{p}" for p in (90, 95, 99) if n * (100 - p) < 100),
    )


def quantile(ordered: Sequence[float], p: float) -> float:
    """The p-quantile of ascending values: Hyndman & Fan's type 7, h = (n - 1) p, linear between ranks."""
    position = (len(ordered) - 1) * p
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def find_outliers(samples: Sequence[float], *, drifting: bool = False) -> Outliers:
    """Counts and places outliers by the modified z-score 0.6745 (x - median) / MAD, |score| > 3.5.

    Iglewicz & Hoaglin, "How to Detect and Handle Outliers" (1993). Where more than half of the samples
    are equal the MAD is 0 and their second form applies: (x - median) / (1.253314 mean absolute deviation).
    """
    middle = median(samples)
    deviations = [abs(value - middle) for value in samples]
    mad = median(deviations)
    scale = mad / 0.6745 if mad > 0 else 1.253314 * math.fsum(deviations) / len(samples)
    flags = [scale > 0 and deviation > _OUTLIER_SCORE * scale for deviation in deviations]
    start = max(3, len(samples) // 10)
    padded = [False, *flags, False]
    at_start = sum(flags[:start])
    burst = sum(
        flag and (padded[index] or padded[index + 2]) for index, flag in enumerate(flags) if index >= start
    )
    isolated = sum(flags) - at_start - burst
    return Outliers(sum(flags), at_start, burst, isolated, _pattern(at_start, burst, isolated, drifting))


def _pattern(at_start: int, burst: int, isolated: int, drifting: bool) -> OutlierPattern:
    most = max(at_start, burst, isolated)
    if most == 0:
        return "none"
    if drifting:
        return "drift"
    if most == at_start:
        return "start"
    return "burst" if most == burst else "isolated"


def drift_of(samples_ns: Sequence[int]) -> Drift:
    """First against last third by medians, and a Mann-Kendall test of the trend.

    Neighbouring latencies are correlated, which makes the test see trends that are not there; so it runs on
    the medians of at most 60 consecutive blocks.
    """
    n = len(samples_ns)
    third = max(1, n // 3)
    first, last = median(samples_ns[:third]), median(samples_ns[n - third :])
    size = max(1, n // _TREND_BLOCKS)
    blocks = [median(samples_ns[at : at + size]) for at in range(0, n - size + 1, size)]
    return Drift(
        first_third_ms=first * _MS,
        last_third_ms=last * _MS,
        change=last / first - 1 if first > 0 else 0.0,
        p_value=mann_kendall_p(blocks) if len(blocks) >= _TREND_MIN_BLOCKS else None,
    )


def mann_kendall_p(values: Sequence[float]) -> float:
    """Two-sided p-value of the Mann-Kendall trend test, normal approximation with tie correction.

    Mann, Econometrica 13 (1945); Kendall, Rank Correlation Methods (1975). Good from eight values on.
    """
    n = len(values)
    score = 0
    for index, value in enumerate(values):
        for later in values[index + 1 :]:
            score += (later > value) - (later < value)
    groups: dict[float, int] = {}
    for value in values:
        groups[value] = groups.get(value, 0) + 1
    ties = sum(size * (size - 1) * (2 * size + 5) for size in groups.values())
    variance = (n * (n - 1) * (2 * n + 5) - ties) / 18
    if variance <= 0 or score == 0:
        return 1.0
    z = (abs(score) - 1) / math.sqrt(variance)
    return math.erfc(z / math.sqrt(2))
