"""Verdicts: each defect lowers the state, says so with its number, and nothing else does."""

from __future__ import annotations

import random
from typing import Any

import pytest

from edgeflow.bench.conditions import Conditions, Temperature
from edgeflow.bench.plan import plan_for
from edgeflow.bench.stats import summarize
from edgeflow.bench.verdict import Validity, judge

QUIET = Conditions(
    temperature_c=Temperature(40.0, 42.0, 43.0),
    load=0.5,
    other_load=0.02,
    throttled=False,
    top_mhz=(2800.0, 2790.0),
)


def steady(n: int = 200, sigma: float = 0.01) -> list[int]:
    source = random.Random(3)
    return [round(source.gauss(5e6, sigma * 5e6)) for _ in range(n)]


def verdict(samples: list[int] | None = None, conditions: Conditions = QUIET, **changes: Any) -> Validity:
    facts: dict[str, Any] = {
        "plan": plan_for("quick"), "emulated": False, "threads": 1, "cores": 2, "numerics_pass": True,
    }  # fmt: skip
    return judge(summarize(steady() if samples is None else samples), conditions, **(facts | changes))


def test_a_clean_run_is_valid_without_a_word() -> None:
    assert verdict() == Validity("valid")
    assert verdict().to_json() == {"state": "valid", "reasons": [], "notes": []}


@pytest.mark.parametrize(
    ("changes", "state", "reason"),
    [
        ({"emulated": True}, "invalid", "emulated"),
        ({"numerics_pass": False}, "invalid", "outputs disagree with the reference"),
        ({"threads": 4}, "suspect", "threads 4 > 2 cores"),
        ({"conditions": Conditions(other_load=0.6, throttled=False)}, "invalid", "other load 60 %"),
        ({"conditions": Conditions(other_load=0.2, throttled=False)}, "suspect", "other load 20 %"),
        (
            {"conditions": Conditions(other_load=0.0, throttled=True, top_mhz=(2800.0, 1700.0))},
            "suspect",
            "throttled: 2.8 -> 1.7 GHz",
        ),
        (
            {"conditions": Conditions(Temperature(40.0, 53.0, 54.0), other_load=0.0, throttled=False)},
            "suspect",
            "temperature rose 14 °C",
        ),
        ({"samples": steady(15, 0.001)}, "suspect", "only 15 samples"),
        ({"samples": steady(5, 0.001)}, "invalid", "only 5 samples"),
    ],
)
def test_each_defect_has_its_reason(changes: dict[str, Any], state: str, reason: str) -> None:
    found = verdict(**changes)
    assert found.state == state
    assert found.reasons == (reason,)


def test_a_wide_interval_and_drift_carry_their_numbers() -> None:
    wide = verdict([round(value) for value in steady(40, 0.5)])
    assert wide.state in ("suspect", "invalid")
    assert any(reason.startswith("CI ±") for reason in wide.reasons)
    rising = [round(value * (1 + 0.12 * index / 200)) for index, value in enumerate(steady())]
    assert any(reason.startswith("drift +8 % first to last third") for reason in verdict(rising).reasons)


def test_a_short_warm_up_is_named() -> None:
    cold = [round(9e6)] * 20 + steady(180)
    assert any("the warm-up was too short" in reason for reason in verdict(cold).reasons)


def test_the_gravest_reason_comes_first_and_decides() -> None:
    found = verdict(threads=4, emulated=True)
    assert found.state == "invalid"
    assert found.reasons == ("emulated", "threads 4 > 2 cores")


def test_in_sustained_mode_heat_is_the_finding_not_a_defect() -> None:
    hot = Conditions(Temperature(40.0, 70.0, 71.0), other_load=0.0, throttled=True, top_mhz=(2800.0, 1700.0))
    rising = [round(value * (1 + 0.12 * index / 200)) for index, value in enumerate(steady())]
    found = verdict(rising, hot, plan=plan_for("sustained"))
    assert found.state == "valid"
    assert "throttled: 2.8 -> 1.7 GHz" in found.notes
    assert any(note.startswith("drift") for note in found.notes)


def test_what_is_not_known_is_noted_not_passed_over() -> None:
    found = verdict(conditions=Conditions(), numerics_pass=None)
    assert found.state == "valid"
    assert any("throttling is not known" in note for note in found.notes)
    assert any("other load is not known" in note for note in found.notes)
    assert any("not compared" in note for note in found.notes)


def test_a_missed_target_and_weak_percentiles_are_noted() -> None:
    found = verdict(steady(60, 0.1))
    assert any("target of ±2.0 % was not reached" in note for note in found.notes)
    assert any("too few for p99" in note for note in found.notes)
