"""Figures from raw samples, against numpy, against the definition, and on series with a known defect."""

from __future__ import annotations

import random

import numpy as np
import pytest

from edgeflow.bench.stats import drift_of, find_outliers, mann_kendall_p, summarize


def noisy(n: int, *, centre_ns: float = 5e6, sigma: float = 0.01, seed: int = 1) -> list[int]:
    source = random.Random(seed)
    return [round(source.gauss(centre_ns, sigma * centre_ns)) for _ in range(n)]


@pytest.mark.parametrize("n", [1, 2, 5, 6, 7, 99, 100, 1001])
def test_the_figures_are_numpys(n: int) -> None:
    samples = noisy(n, sigma=0.2)
    summary = summarize(samples)
    ms = np.array(samples) / 1e6
    assert summary.n == n
    assert summary.median == pytest.approx(np.median(ms))
    assert summary.mean == pytest.approx(ms.mean())
    assert summary.std == pytest.approx(ms.std(ddof=1) if n > 1 else 0.0)
    assert (summary.min, summary.max) == pytest.approx((ms.min(), ms.max()))
    assert summary.mad == pytest.approx(np.median(np.abs(ms - np.median(ms))))
    for name, p in (("p50", 50), ("p90", 90), ("p95", 95), ("p99", 99)):
        assert getattr(summary, name) == pytest.approx(np.percentile(ms, p, method="linear"))


def test_the_interval_holds_the_true_median_as_often_as_it_says() -> None:
    hits = 0
    for seed in range(400):
        source = random.Random(seed)
        interval = summarize([round(source.expovariate(1e-6)) for _ in range(41)]).ci95
        assert interval is not None
        hits += interval[0] <= 0.6931471805599453 <= interval[1]
    assert hits >= 0.93 * 400


def test_too_few_samples_have_no_interval_and_say_so() -> None:
    summary = summarize([1_000_000] * 5)
    assert summary.ci95 is None
    assert summary.ci_half_width == float("inf")
    assert summary.to_json()["ci95"] is None


def test_percentiles_that_n_cannot_carry_are_named() -> None:
    assert summarize(noisy(9)).weak_percentiles == ("p90", "p95", "p99")
    assert summarize(noisy(20)).weak_percentiles == ("p99",)
    assert summarize(noisy(99)).weak_percentiles == ("p99",)
    assert summarize(noisy(100)).weak_percentiles == ()


def test_a_slow_start_is_called_a_start() -> None:
    outliers = find_outliers([9e6] * 8 + [float(value) for value in noisy(192)])
    assert (outliers.at_start, outliers.pattern) == (8, "start")


def test_one_spike_is_isolated_and_ten_in_a_row_are_a_burst() -> None:
    quiet = [float(value) for value in noisy(200)]
    one = [*quiet[:100], 9e6, *quiet[101:]]
    assert find_outliers(one).isolated - find_outliers(quiet).isolated == 1
    many = quiet[:100] + [9e6] * 10 + quiet[110:]
    assert find_outliers(many).pattern == "burst"
    assert find_outliers(many).burst >= 10


def test_a_fast_outlier_counts_too() -> None:
    assert find_outliers([*map(float, noisy(100)), 1.0]).count >= 1


def test_mostly_equal_samples_still_show_their_outlier() -> None:
    outliers = find_outliers([5.0] * 50 + [50.0])
    assert outliers.count == 1
    assert find_outliers([5.0] * 50).pattern == "none"


def test_drift_is_seen_and_steady_noise_is_not() -> None:
    steady = noisy(300)
    rising = [round(value * (1 + 0.1 * index / 300)) for index, value in enumerate(steady)]
    assert not drift_of(steady).significant
    drift = drift_of(rising)
    assert drift.significant
    assert drift.change == pytest.approx(0.067, abs=0.01)
    assert summarize(rising).drift == drift


def test_slow_waves_are_no_trend() -> None:
    waves = [round(5e6 + 2e5 * (index // 5 % 2)) for index in range(600)]
    assert not drift_of(waves).significant


def test_mann_kendall_against_a_worked_example() -> None:
    # S = 28 of 28 pairs, Var = 8 * 7 * 21 / 18 = 65.33, z = 27 / 8.083 = 3.340
    assert mann_kendall_p(range(8)) == pytest.approx(0.000837, abs=2e-6)
    assert mann_kendall_p(range(8, 0, -1)) == pytest.approx(0.000837, abs=2e-6)
    assert mann_kendall_p([1.0] * 20) == 1.0


def test_no_samples_are_an_error() -> None:
    with pytest.raises(ValueError, match="no samples"):
        summarize([])
