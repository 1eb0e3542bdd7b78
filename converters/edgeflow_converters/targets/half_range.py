"""Whether a model's inner values fit float16: devices may compute in it, and this host cannot."""

from __future__ import annotations

from pathlib import Path

from edgeflow_converters.arrays import save_sets
from edgeflow_converters.base import ConvertRequest
from edgeflow_converters.runners import process

_LARGEST_HALF = 65504.0


def overflow(request: ConvertRequest, work: Path) -> str:
    """Why this model must not be computed in float16; "" if its values fit on two of the samples."""
    save_sets(work / "range-samples.npz", request.samples[:2])
    spec = {"model": str(request.source), "samples": str(work / "range-samples.npz")}
    what = "looking up the range of values"
    answer = process.call("activation_range", spec, what=what, cwd=work, timeout_s=request.timeout_s)
    if answer["largest"] <= _LARGEST_HALF:
        return ""
    return (
        f"computed in fp32: {answer['tensor']!r} reaches {answer['largest']:.3g}, "
        f"beyond fp16's {_LARGEST_HALF:.0f}"
    )
