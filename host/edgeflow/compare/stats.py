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
    sides = [[_Run.of(series) for series in side] for side in (a, b)]
    if not all(sides):
        raise ValueError("a side without samples")
    logs = [[math.log(max(run.median, 1e-9)) for run in side] for side in sides]
    centres = [math.fsum(side) / len(side) for side in logs]
    change = math.expm1(centres[1] - centres[0])
    paired = len(a) == len(b) > 1
    interval = None
    if all(run.ordered.size >= MIN_SAMPLES for side in sides for run in side):
        drawn = [
            [_drawn_logs(run, seed, index, which, draws) for index, run in enumerate(side)]
            for which, side in enumerate(sides)
        ]
        interval = _interval(drawn, centres, paired=paired, seed=seed)
    return Difference(change, interval, math.exp(centres[0]), math.exp(centres[1]), paired)


@dataclass(frozen=True, slots=True)
class _Run:
    """One series, as it was taken and in order."""

    taken: NDArray[np.float64]
    ordered: NDArray[np.float64]
    median: float

    @classmethod
    def of(cls, series: Sequence[int]) -> _Run:
        import numpy as np

        taken = np.asarray(series, dtype=np.float64)
        if taken.size == 0:
            raise ValueError("a side without samples")
        ordered = np.sort(taken)
        return cls(taken, ordered, float(ordered[(taken.size - 1) // 2] + ordered[taken.size // 2]) / 2)


def _interval(
    drawn: Sequence[Sequence[NDArray[np.float64]]], centres: Sequence[float], *, paired: bool, seed: int
) -> tuple[float, float]:
    """Percentiles of the drawn log ratios, rounds drawn with replacement where there are several."""
    import numpy as np

    if paired:
        pairs = [of_b - of_a for of_a, of_b in zip(*drawn, strict=True)]
        ratios = _resampled(pairs, centres[1] - centres[0], seed)
    else:
        ratios = _resampled(drawn[1], centres[1], seed + 1) - _resampled(drawn[0], centres[0], seed + 2)
    last = ratios.size - 1
    low, high = math.floor(0.025 * last), math.ceil(0.975 * last)
    ordered = np.partition(ratios, (low, high))
    return math.expm1(float(ordered[low])), math.expm1(float(ordered[high]))


def _resampled(rounds: Sequence[NDArray[np.float64]], centre: float, seed: int) -> NDArray[np.float64]:
    """Means over rounds, drawn with replacement: one for each draw.

    r rounds drawn from r spread too little by sqrt((r - 1) / r); deviations are widened by that.
    """
    import numpy as np

    count = len(rounds)
    if count == 1:
        return rounds[0]
    values = np.array(rounds)
    chosen = np.random.default_rng(seed).integers(0, count, values.shape)
    means: NDArray[np.float64] = np.take_along_axis(values, chosen, axis=0).mean(axis=0)
    return centre + (means - centre) * math.sqrt(count / (count - 1))


def _drawn_logs(run: _Run, seed: int, index: int, which: int, draws: int) -> NDArray[np.float64]:
    """Logarithms of the medians of bootstrap samples of one run."""
    import numpy as np

    size = run.ordered.size
    effective = max(3, round(size / _block_length(run.taken, run.median)))
    below, share = _ranks(size, effective, seed, index, which, draws)
    logs = np.log(np.maximum(run.ordered, 1e-9))
    steps = np.zeros(size)
    np.subtract(logs[1:], logs[:-1], out=steps[:-1])
    drawn: NDArray[np.float64] = logs[below] + steps[below] * share
    return drawn


@lru_cache(maxsize=512)
def _ranks(
    size: int, count: int, seed: int, index: int, which: int, draws: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Where the medians of `count` draws lie among `size` ordered samples: rank, and the share to the next.

    In the distribution of the run they are Beta, symmetric about its middle.
    """
    import numpy as np

    generator = np.random.default_rng([seed, index, which, count])
    middle = (count + 1) / 2
    position = np.clip(generator.beta(middle, middle, draws) * size - 0.5, 0.0, size - 1.0)
    below = np.floor(position).astype(np.int64)
    return below, position - below


def block_length(run: NDArray[np.float64]) -> float:
    """Over how many samples a run is alike: 1 where they are independent."""
    import numpy as np

    return _block_length(run, float(np.median(run)))


def _block_length(run: NDArray[np.float64], median: float) -> float:
    """`block_length` where the median is known.

    Twice the sum of the autocorrelations of "above the median", up to the first window that is five times as
    long as the sum itself (Sokal's rule), so that noise far out is not added up.
    """
    import numpy as np

    size = run.size
    signs = np.sign(run - median)
    power = float(signs @ signs)
    if power == 0.0:
        return 1.0
    longest = max(1, size // _LONGEST_SHARE)
    padded = 1 << (2 * size - 1).bit_length()
    spectrum = np.fft.rfft(signs, padded)
    correlation = np.fft.irfft(spectrum * spectrum.conj(), padded)[1 : longest + 1] / power
    sums = 1.0 + 2.0 * np.cumsum(correlation)
    windows = np.flatnonzero(np.arange(1, longest + 1) >= 5.0 * sums)
    at = int(windows[0]) if windows.size else longest - 1
    return float(min(max(sums[at], 1.0), longest))
