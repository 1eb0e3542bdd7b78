"""What an explanation says: plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NODE = "node"
COMPANY = "company"
ACCUMULATES = "accumulates"
UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Point:
    """One tensor on the way from the inputs to the output: how much of the tolerance it takes."""

    tensor: str
    node: str
    op: str
    strain: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where a product leaves the model's way.

    `kind` says what is known of `node`, which computes the first tensor that disagrees: "node", it is wrong
    by itself; "company", it is right by itself and wrong together with its neighbours (a fusion);
    "accumulates", it is right by itself and what it is given is nearly wrong already; "unclear", it could
    not be tried by itself. Strains are shares of the gate's tolerance: beyond 1 disagrees.
    """

    runtime: str
    precision: str
    reason: str
    kind: str
    tensor: str
    node: str
    op: str
    source: str
    strain: float
    before: float
    alone: float | None
    figures: Mapping[str, float]
    others: Sequence[str]
    curve: Sequence[Point]
    ways_out: Sequence[str]
    conversions: int

    def to_json(self) -> dict[str, Any]:
        return {
            "runtime": self.runtime,
            "precision": self.precision,
            "reason": self.reason,
            "kind": self.kind,
            "tensor": self.tensor,
            "node": self.node,
            "op": self.op,
            "source": self.source,
            "strain": _number(self.strain),
            "before": _number(self.before),
            "alone": _number(self.alone),
            "figures": {name: _number(value) for name, value in self.figures.items()},
            "others": list(self.others),
            "curve": [
                {"tensor": p.tensor, "node": p.node, "op": p.op, "strain": _number(p.strain)}
                for p in self.curve
            ],
            "ways_out": list(self.ways_out),
            "conversions": self.conversions,
        }


def _number(value: float | None) -> float | None:
    """JSON has no infinity: null, which stands for "not comparable" where a shape or a class differs."""
    return value if value is not None and math.isfinite(value) else None
