"""How long to measure and when to stop: the plan that a bench job gets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from edgeflow.errors import UsageError

Mode = Literal["quick", "thorough", "sustained"]

_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """The plan of a bench job, by the names of agent/PROTOCOL.md.

    Warm-up ends when both its minima are reached. Sampling ends at `max_samples`, when `budget_ns` have
    gone by, or, from `min_samples` and `min_ns` on, when the relative half-width of the median's 95 %
    interval is at most `ci_target` (None: it never ends sampling).
    """

    mode: Mode
    warmup_min_runs: int
    warmup_min_ns: int
    min_samples: int
    min_ns: int
    max_samples: int
    budget_ns: int
    ci_target: float | None
    sample_period_ms: int

    def to_wire(self) -> dict[str, Any]:
        """The `plan` of `job.start`; the mode is the host's word and stays here."""
        wire = asdict(self)
        del wire["mode"]
        return wire


_PLANS: dict[str, BenchPlan] = {
    plan.mode: plan
    for plan in (
        BenchPlan("quick", 5, _S // 2, 30, _S, 100_000, 5 * _S, 0.02, 100),
        BenchPlan("thorough", 20, 3 * _S, 300, 10 * _S, 500_000, 60 * _S, 0.02, 200),
        # Long enough for a phone's case to warm up; heat is the subject here, so no early stop.
        BenchPlan("sustained", 5, _S // 2, 30, 0, 2_000_000, 300 * _S, None, 1000),
    )
}


def plan_for(mode: str, *, budget_s: float | None = None) -> BenchPlan:
    """The plan of a mode, with another time budget where one is given.

    Raises UsageError for an unknown mode or a budget that is not positive.
    """
    plan = _PLANS.get(mode)
    if plan is None:
        raise UsageError(f"unknown mode '{mode}'", hint=f"use one of: {', '.join(_PLANS)}")
    if budget_s is None:
        return plan
    if not budget_s > 0 or budget_s == float("inf"):
        raise UsageError(f"a time budget of {budget_s:g} s cannot be measured in", hint="give seconds > 0")
    budget_ns = round(budget_s * _S)
    return replace(
        plan,
        budget_ns=budget_ns,
        warmup_min_ns=min(plan.warmup_min_ns, budget_ns),
        min_ns=min(plan.min_ns, budget_ns),
    )
