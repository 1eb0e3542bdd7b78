"""The timed loop on a clock that the test moves: stops, warm-up, starts."""

from __future__ import annotations

from typing import Any

import pytest

from edgeflow_agent.faults import Fault
from edgeflow_agent.harness import Plan, bench

MS = 1_000_000


class Device:
    """A clock, and a model whose durations are given; reading the clock takes no time."""

    def __init__(self, durations_ns: list[int]) -> None:
        self.now = 1_000
        self.durations_ns = durations_ns
        self.runs = 0

    def clock_ns(self) -> int:
        return self.now

    def run(self) -> None:
        self.now += self.durations_ns[self.runs % len(self.durations_ns)]
        self.runs += 1


def plan(**changes: Any) -> Plan:
    fields: dict[str, Any] = {
        "warmup_min_runs": 0, "warmup_min_ns": 0, "min_samples": 10, "min_ns": 0, "max_samples": 1000,
        "budget_ns": 10_000 * MS, "ci_target": 0.02, "sample_period_ms": 100,
    }  # fmt: skip
    return Plan.from_meta({**fields, **changes})


def measure(device: Device, **changes: Any) -> Any:
    return bench(device.run, plan(**changes), lambda *_: None, device.clock_ns)


def test_a_steady_model_stops_once_the_interval_is_narrow() -> None:
    result = measure(Device([5 * MS, 5 * MS + 1000]))
    assert result.stop == "ci"
    assert len(result.samples_ns) == 10


def test_a_fast_model_is_watched_for_the_shortest_window() -> None:
    result = measure(Device([MS, MS + 1000]), min_ns=300 * MS)
    assert result.stop == "ci"
    assert 300 * MS <= sum(result.samples_ns) < 500 * MS


def test_an_unsteady_model_runs_to_the_budget() -> None:
    result = measure(Device([5 * MS, 50 * MS]), budget_ns=2_000 * MS)
    assert result.stop == "budget"
    assert sum(result.samples_ns) >= 2_000 * MS
    assert sum(result.samples_ns[:-1]) < 2_000 * MS


def test_max_samples_ends_it() -> None:
    result = measure(Device([5 * MS, 50 * MS]), max_samples=40)
    assert (result.stop, len(result.samples_ns)) == ("max_samples", 40)


def test_without_a_target_the_whole_budget_is_used() -> None:
    result = measure(Device([5 * MS]), ci_target=None, budget_ns=1_000 * MS)
    assert (result.stop, len(result.samples_ns)) == ("budget", 200)


def test_a_model_slower_than_the_budget_is_still_run_three_times() -> None:
    result = measure(Device([400 * MS]), budget_ns=100 * MS)
    assert (result.stop, len(result.samples_ns)) == ("budget", 3)


def test_every_start_and_duration_is_the_clocks() -> None:
    result = measure(Device([3 * MS, 4 * MS, 5 * MS]), max_samples=10)
    assert list(result.samples_ns[:4]) == [3 * MS, 4 * MS, 5 * MS, 3 * MS]
    assert [result.starts_ns[i + 1] - result.starts_ns[i] for i in range(3)] == [3 * MS, 4 * MS, 5 * MS]


def test_warm_up_reaches_both_minima_and_is_kept_apart() -> None:
    device = Device([10 * MS])
    result = measure(device, warmup_min_runs=3, warmup_min_ns=100 * MS)
    assert len(result.warmup_ns) == 10
    assert device.runs == len(result.warmup_ns) + len(result.samples_ns)
    assert len(measure(Device([100 * MS]), warmup_min_runs=3, warmup_min_ns=MS).warmup_ns) == 3
    assert len(measure(Device([MS]), warmup_min_runs=99, budget_ns=5 * MS).warmup_ns) == 5


@pytest.mark.parametrize(
    "change",
    [
        {"min_samples": 0}, {"min_samples": 2000}, {"budget_ns": -1}, {"budget_ns": 1.5}, {"ci_target": 0},
        {"ci_target": "2%"}, {"sample_period_ms": 0}, {"warmup_min_runs": True}, {"max_samples": 10**9},
    ],
)  # fmt: skip
def test_a_bad_plan_names_its_field(change: dict[str, Any]) -> None:
    with pytest.raises(Fault, match=r"samples" if "samples" in str(change) else next(iter(change))) as error:
        plan(**change)
    assert error.value.code == "bad_request"
