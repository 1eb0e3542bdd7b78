"""Order statistics of timings. Agent and host share this one implementation."""

from __future__ import annotations

import math
from typing import Sequence, Tuple

MIN_SAMPLES_FOR_CI95 = 6
"""With fewer, even [min, max] covers the median less than 95 % of the time (1 - 2 * 0.5**5 = 0.9375)."""


def median(samples: Sequence[float]) -> float:
    """The middle of the samples, or the mean of the two middle ones. Raises ValueError when empty."""
    if not samples:
        raise ValueError("the median of no samples")
    ordered = sorted(samples)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return float(ordered[middle])
    return (ordered[middle - 1] + ordered[middle]) / 2


def median_ci95(samples: Sequence[float]) -> Tuple[float, float]:
    """(lo, hi): a 95 % confidence interval of the median from order statistics, free of any distribution.

    The j-th smallest and the j-th largest sample enclose the median with probability
    1 - 2 * P(B <= j - 1), B ~ Binomial(n, 1/2); the largest j that keeps it >= 0.95 is taken. Source:
    J.-Y. Le Boudec, Performance Evaluation of Computer and Communication Systems (2010), theorem 2.1.
    Samples are taken as independent. Raises ValueError for fewer than MIN_SAMPLES_FOR_CI95.
    """
    if len(samples) < MIN_SAMPLES_FOR_CI95:
        raise ValueError(
            "a 95 %% interval of the median needs %d samples, got %d" % (MIN_SAMPLES_FOR_CI95, len(samples))
        )
    ordered = sorted(samples)
    rank = ci95_rank(len(ordered))
    return float(ordered[rank - 1]), float(ordered[len(ordered) - rank])


def ci95_rank(count: int) -> int:
    """The largest j with P(Binomial(count, 1/2) <= j - 1) <= 0.025, counted from 1; 0 where there is none."""
    # Below this the tail weighs under 1e-20: summing from here keeps long series cheap.
    start = max(0, int(count / 2 - 5 * math.sqrt(count)) - 1)
    log_total = math.lgamma(count + 1) - count * math.log(2)
    tail = 0.0
    for successes in range(start, count + 1):
        tail += math.exp(log_total - math.lgamma(successes + 1) - math.lgamma(count - successes + 1))
        if tail > 0.025:
            return successes
    raise ValueError("count must be positive, got %d" % count)
