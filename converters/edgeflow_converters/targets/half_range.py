"""Which of a model's values do not fit float16: devices may compute in it, and this host cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeflow_converters.arrays import save_sets
from edgeflow_converters.base import ConvertRequest
from edgeflow_converters.runners import process

LARGEST_HALF = 65504.0
LIMIT = LARGEST_HALF / 2
"""What a value may reach on the samples: other inputs may take it twice as far."""


@dataclass(frozen=True, slots=True)
class Overflow:
    """A tensor that passes LIMIT, and the node that computes it (`Op node 'name'`)."""

    tensor: str
    node: str
    largest: float

    def __str__(self) -> str:
        return f"{self.node} reaches {self.largest:.3g}"


def overflows(request: ConvertRequest, work: Path) -> list[Overflow]:
    """The tensors of the prepared model that pass LIMIT on its samples, in the graph's order."""
    save_sets(work / "range-samples.npz", [*request.samples, *request.calibration])
    spec = {"model": str(request.source), "samples": str(work / "range-samples.npz"), "limit": LIMIT}
    what = "looking up the range of values"
    answer = process.call("activation_range", spec, what=what, cwd=work, timeout_s=request.timeout_s)
    return [Overflow(**found) for found in answer["over"]]


def told(found: Sequence[Overflow], shown: int = 3) -> str:
    """The first few of them in one line, with why they matter."""
    more = f" and {len(found) - shown} more" if len(found) > shown else ""
    return (
        f"{', '.join(map(str, found[:shown]))}{more}: fp16 ends at {LARGEST_HALF:.0f}, and half of it is "
        "kept for other inputs"
    )
