"""Plans of the three modes, as the agent gets them."""

from __future__ import annotations

import pytest

from edgeflow.bench.plan import plan_for
from edgeflow.errors import UsageError
from edgeflow_agent.harness import Plan


@pytest.mark.parametrize("mode", ["quick", "thorough", "sustained"])
def test_the_agent_takes_every_plan(mode: str) -> None:
    plan = plan_for(mode)
    assert Plan.from_meta(plan.to_wire()).budget_ns == plan.budget_ns


def test_quick_and_thorough_stop_at_two_percent_and_sustained_does_not() -> None:
    assert (plan_for("quick").ci_target, plan_for("thorough").ci_target) == (0.02, 0.02)
    assert plan_for("sustained").ci_target is None
    assert plan_for("sustained").budget_ns >= 120e9
    assert plan_for("thorough").min_samples > plan_for("quick").min_samples


def test_a_budget_replaces_the_modes_own_and_bounds_the_warm_up() -> None:
    plan = plan_for("thorough", budget_s=0.25)
    assert plan.budget_ns == 250_000_000
    assert plan.warmup_min_ns == 250_000_000


@pytest.mark.parametrize("budget_s", [0.0, -1.0, float("nan"), float("inf")])
def test_a_budget_that_cannot_be_is_an_error(budget_s: float) -> None:
    with pytest.raises(UsageError):
        plan_for("quick", budget_s=budget_s)


def test_an_unknown_mode_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown mode 'fast'") as caught:
        plan_for("fast")
    assert "quick, thorough, sustained" in caught.value.hint
