"""How long a sweep will take: from what deploys took before, else a default that is called one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from edgeflow.bench.plan import plan_for
from edgeflow.sweep.matrix import Cell

_AROUND_S = 3.0
"""What a deploy takes beside its measuring, where nothing is known of the device."""

History = Iterable[tuple[str, str, str, str | None, float, int]]
"""(device, model, runtime, mode, mean seconds, how many), as Store.elapsed gives it."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds of benches on the device that needs longest, and of all. Conversions come on top.

    `by_cell`, `by_device` and `by_default` count the jobs whose time is known from the same cell, from the
    same device in the same mode, or not at all.
    """

    longest_s: float
    device_s: float
    by_cell: int
    by_device: int
    by_default: int
    conversions: int

    def to_json(self) -> dict[str, Any]:
        return {
            "seconds": round(self.longest_s, 1),
            "device_seconds": round(self.device_s, 1),
            "jobs_known": self.by_cell,
            "jobs_like_others_of_the_device": self.by_device,
            "jobs_by_default": self.by_default,
            "conversions": self.conversions,
            "conversions_included": False,
        }


def estimate(cells: Sequence[Cell], repeats: int, budget_s: float | None, history: History) -> Estimate:
    """For every cell, `repeats` times, one after another on a device."""
    exact: dict[tuple[str, str, str, str | None], float] = {}
    sums: dict[tuple[str, str | None], tuple[float, int]] = {}
    for device, model, runtime, mode, mean_s, count in history:
        exact[device, model, runtime, mode] = mean_s
        total, n = sums.get((device, mode), (0.0, 0))
        sums[device, mode] = (total + mean_s * count, n + count)
    busy_s: dict[str, float] = {}
    counts = [0, 0, 0]
    for cell in cells:
        known = exact.get((cell.device, _name_of(cell.model), cell.runtime, cell.mode))
        total, n = sums.get((cell.device, cell.mode), (0.0, 0))
        if known is not None:
            seconds, source = known, 0
        elif n:
            seconds, source = total / n, 1
        else:
            plan = plan_for(cell.mode, budget_s=budget_s)
            seconds, source = (plan.warmup_min_ns + plan.budget_ns) / 1e9 + _AROUND_S, 2
        busy_s[cell.device] = busy_s.get(cell.device, 0.0) + seconds * repeats
        counts[source] += repeats
    return Estimate(
        longest_s=max(busy_s.values(), default=0.0),
        device_s=sum(busy_s.values()),
        by_cell=counts[0],
        by_device=counts[1],
        by_default=counts[2],
        conversions=len({cell.conversion for cell in cells}),
    )


def _name_of(model: str) -> str:
    """What results call a model of the plan, unless its recipe names it otherwise."""
    return model.removeprefix("zoo:") if model.startswith("zoo:") else PurePath(model).stem
