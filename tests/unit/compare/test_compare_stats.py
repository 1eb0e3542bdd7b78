"""Differences of medians: right where the truth is known, honest where samples are alike, reproducible."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeflow.compare.stats import block_length, difference

Noise = Callable[[np.random.Generator, int], NDArray[np.float64]]


def independent(generator: np.random.Generator, count: int) -> NDArray[np.float64]:
    return generator.normal(0.0, 0.05, count)


def drifting(generator: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Each sample like the one before: AR(1), 0.8."""
    noise, level = np.empty(count), 0.0
    for index, step in enumerate(generator.normal(0.0, 0.03, count)):
        level = 0.8 * level + step
        noise[index] = level
    return noise


def run(generator: np.random.Generator, noise: Noise, factor: float = 1.0, count: int = 100) -> list[int]:
    return [round(value) for value in 1e6 * factor * np.exp(noise(generator, count))]


def test_a_known_difference_is_found() -> None:
    generator = np.random.default_rng(1)
    found = difference([run(generator, independent)], [run(generator, independent, 1.10)])
    assert found.change == pytest.approx(0.10, abs=0.03)
    assert found.ci95 is not None
    assert 0.05 < found.ci95[0] < 0.10 < found.ci95[1] < 0.15
    assert not found.paired


@pytest.mark.parametrize("noise", [independent, drifting])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(noise: Noise) -> None:
    generator, held, tries = np.random.default_rng(2), 0, 300
    for _ in range(tries):
        found = difference([run(generator, noise)], [run(generator, noise, 1.05)])
        assert found.ci95 is not None
        held += found.ci95[0] <= 0.05 <= found.ci95[1]
    assert held / tries > 0.88, "95 % promised; blocks of a short run cannot show all of their likeness"


def test_taking_alike_samples_for_independent_ones_would_promise_too_much() -> None:
    generator = np.random.default_rng(3)
    alike = block_length(np.exp(drifting(generator, 50_000)))
    # The signs of a normal AR(1) correlate by 2/pi asin(0.8^k): 1 + 2 times their sum is 6.4.
    assert 5.5 < alike < 7.3
    assert block_length(np.exp(independent(generator, 5000))) < 1.3
    assert block_length(np.ones(50)) == 1.0


def test_rounds_are_paired_so_that_drift_common_to_both_sides_does_not_hide_a_difference() -> None:
    generator = np.random.default_rng(4)
    levels = (1.0, 1.3, 0.8, 1.1)
    a = [run(generator, independent, level) for level in levels]
    b = [run(generator, independent, 1.04 * level) for level in levels]
    paired, unpaired = difference(a, b), difference(a, b[:3])
    assert paired.paired
    assert not unpaired.paired
    assert paired.ci95 is not None
    assert unpaired.ci95 is not None
    assert paired.ci95[0] > 0.0
    assert paired.change == pytest.approx(0.04, abs=0.02)
    assert unpaired.ci95[0] < 0.0 < unpaired.ci95[1]


def test_rounds_that_differ_more_than_their_samples_widen_the_interval() -> None:
    generator = np.random.default_rng(5)
    a = [run(generator, independent) for _ in range(4)]
    b = [run(generator, independent, level) for level in (1.2, 0.9, 1.1, 0.85)]
    found = difference(a, b)
    assert found.ci95 is not None
    assert found.ci95[0] < 0.0 < found.ci95[1]


def test_the_same_samples_give_the_same_interval_every_time() -> None:
    generator = np.random.default_rng(6)
    a, b = [run(generator, independent)], [run(generator, independent)]
    assert difference(a, b) == difference(a, b)
    assert difference(a, b, seed=1) != difference(a, b, seed=2)


def test_too_few_samples_have_no_interval_and_none_are_refused() -> None:
    found = difference([[10, 11, 12]], [[20, 21, 22]])
    assert found.ci95 is None
    assert found.change == pytest.approx(10 / 11)
    with pytest.raises(ValueError, match="without samples"):
        difference([[]], [[1]])


def test_equal_samples_differ_by_nothing() -> None:
    found = difference([[100] * 50], [[100] * 50])
    assert found.change == 0.0
    assert found.ci95 == (0.0, 0.0)
