"""The median's interval against exact binomial sums, and its coverage on real draws."""

from __future__ import annotations

import random
from fractions import Fraction
from math import comb

import pytest

from edgeflow_agent.stats import ci95_rank, median, median_ci95


def outside(count: int, rank: int) -> Fraction:
    return Fraction(2 * sum(comb(count, k) for k in range(rank)), 2**count)


@pytest.mark.parametrize("count", [6, 7, 8, 9, 10, 11, 12, 20, 31, 50, 71, 100, 257, 1000, 3001])
def test_the_rank_is_the_largest_that_keeps_95_percent(count: int) -> None:
    rank = ci95_rank(count)
    assert outside(count, rank) <= Fraction(5, 100) < outside(count, rank + 1)


def test_the_interval_is_made_of_samples_and_ignores_order() -> None:
    samples = list(range(1, 21))
    random.Random(1).shuffle(samples)
    assert median_ci95(samples) == (6.0, 15.0)  # Le Boudec's table: n = 20, j = 6, k = 15
    assert median(samples) == 10.5
    assert median([5, 1, 9]) == 5.0


def test_the_interval_covers_the_true_median_of_a_skewed_distribution() -> None:
    draw = random.Random(7)
    hits = 0
    for _ in range(2000):
        low, high = median_ci95([draw.lognormvariate(0, 1) for _ in range(31)])
        hits += low <= 1.0 <= high
    assert 0.94 <= hits / 2000 <= 0.985


def test_too_few_samples_are_an_error_not_a_guess() -> None:
    with pytest.raises(ValueError, match="needs 6"):
        median_ci95([1, 2, 3, 4, 5])
    with pytest.raises(ValueError, match="no samples"):
        median([])
    assert ci95_rank(5) == 0
