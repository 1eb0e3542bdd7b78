"""Difference of two medians with its confidence interval, by a seeded bootstrap. numpy only.

Samples of one run are not independent: what slows one inference slows the next. So the bootstrap is one of
blocks: a run of n samples counts as n / b of them, b being the length over which they are alike (the
integrated autocorrelation time of being above the median, Sokal 1996). The median of a bootstrap sample of m
is an order statistic whose rank has a known distribution (Maritz & Jarrett 1978), which is drawn directly:
a thousand draws cost no more than a thousand numbers.

Where a cell was measured in several rounds on both sides, rounds are paired: round k of A with round k of B,
which ran under like conditions when repeats were interleaved, and whole pairs are drawn with replacement.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SEED = 20_260_101
DRAWS = 1000
MIN_SAMPLES = 6
"""Fewer say nothing of where their median may lie (as for a result's own interval)."""
_LONGEST_SHARE = 10  # blocks no longer than a tenth of the run: there must be some to draw from


@dataclass(frozen=True, slots=True)
class Difference:
    """B against A: `change` 0.05 is 5 % slower. `ci95` is None where a side has too few samples."""

    change: float
    ci95: tuple[float, float] | None
    a_median_ns: float
    b_median_ns: float
    paired: bool


def difference(
    a: Sequence[Sequence[int]], b: Sequence[Sequence[int]], *, seed: int = SEED, draws: int = DRAWS
) -> Difference:
    """Of two sides, each a run's samples or, where a cell was repeated, one series a round.

    Paired where both have the same number of rounds, and more than one. The change is that of the geometric
    mean over rounds. Raises ValueError for a side without samples.
    """
    import numpy as np

    sides = [[_run_of(series) for series in side] for side in (a, b)]
    if not all(sides) or any(run.size == 0 for side in sides for run in side):
        raise ValueError("a side without samples")
    logs = [np.array([math.log(max(_median(run), 1e-9)) for run in side]) for side in sides]
    change = math.exp(float(logs[1].mean() - logs[0].mean())) - 1
    paired = len(a) == len(b) > 1
    interval = None
    if all(run.size >= MIN_SAMPLES for side in sides for run in side):
        drawn = [
            np.array([_drawn_logs(run, seed, index, which, draws) for index, run in enumerate(side)])
            for which, side in enumerate(sides)
        ]
        interval = _interval(drawn, logs, paired=paired, seed=seed)
    a_median, b_median = (math.exp(float(log.mean())) for log in logs)
    return Difference(change, interval, a_median, b_median, paired)


def _interval(
    drawn: Sequence[NDArray[np.float64]], logs: Sequence[NDArray[np.float64]], *, paired: bool, seed: int
) -> tuple[float, float]:
    """Percentiles of the drawn log ratios, rounds drawn with replacement where there are several."""
    import numpy as np

    if paired:
        ratios = _resampled(drawn[1] - drawn[0], float((logs[1] - logs[0]).mean()), seed)
    else:
        ratios = _resampled(drawn[1], float(logs[1].mean()), seed + 1) - _resampled(
            drawn[0], float(logs[0].mean()), seed + 2
        )
    low, high = np.quantile(ratios, (0.025, 0.975))
    return math.expm1(float(low)), math.expm1(float(high))


def _resampled(values: NDArray[np.float64], centre: float, seed: int) -> NDArray[np.float64]:
    """Means over rounds, drawn with replacement: one for each column of `values`.

    r rounds drawn from r spread too little by sqrt((r - 1) / r); deviations are widened by that.
    """
    import numpy as np

    rounds, draws = values.shape
    if rounds == 1:
        alone: NDArray[np.float64] = values[0]
        return alone
    chosen = np.random.default_rng(seed).integers(0, rounds, (rounds, draws))
    means: NDArray[np.float64] = np.take_along_axis(values, chosen, axis=0).mean(axis=0)
    return centre + (means - centre) * math.sqrt(rounds / (rounds - 1))


def _run_of(series: Sequence[int]) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(series, dtype=np.float64)


def _median(run: NDArray[np.float64]) -> float:
    import numpy as np

    return float(np.median(run))


def _drawn_logs(
    run: NDArray[np.float64], seed: int, index: int, which: int, draws: int
) -> NDArray[np.float64]:
    """Logarithms of the medians of bootstrap samples of one run."""
    import numpy as np

    effective = max(3, round(run.size / block_length(run)))
    position = _positions(effective, seed, index, which, draws) * run.size - 0.5
    ordered = np.sort(run)
    below = np.clip(np.floor(position).astype(np.int64), 0, run.size - 1)
    above = np.minimum(below + 1, run.size - 1)
    share = np.clip(position - below, 0.0, 1.0)
    values = ordered[below] * (1 - share) + ordered[above] * share
    return np.log(np.maximum(values, 1e-9))


@lru_cache(maxsize=512)
def _positions(count: int, seed: int, index: int, which: int, draws: int) -> NDArray[np.float64]:
    """Where the medians of `count` draws lie in the run's distribution: Beta, by rank."""
    import numpy as np

    generator = np.random.default_rng([seed, index, which, count])
    middle = (count + 1) / 2
    return generator.beta(middle, middle, draws)


def block_length(run: NDArray[np.float64]) -> float:
    """Over how many samples a run is alike: 1 where they are independent.

    Twice the sum of the autocorrelations of "above the median", up to the first window that is five times as
    long as the sum itself (Sokal's rule), so that noise far out is not added up.
    """
    import numpy as np

    size = run.size
    signs = np.sign(run - np.median(run))
    power = float(signs @ signs)
    if power == 0.0:
        return 1.0
    longest = max(1, size // _LONGEST_SHARE)
    padded = 1 << (2 * size - 1).bit_length()
    spectrum = np.fft.rfft(signs, padded)
    correlation = np.fft.irfft(spectrum * spectrum.conj(), padded)[1 : longest + 1] / power
    sums = 1.0 + 2.0 * np.cumsum(correlation)
    windows = np.arange(1, longest + 1) >= 5.0 * sums
    at = int(np.argmax(windows)) if windows.any() else longest - 1
    return float(min(max(sums[at], 1.0), longest))
