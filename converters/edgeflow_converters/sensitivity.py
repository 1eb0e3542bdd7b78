"""Why a reduced precision disagrees: does the model itself amplify what such a precision rounds away?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from edgeflow_converters.arrays import load_sets, save_sets
from edgeflow_converters.check import Tolerance, compare
from edgeflow_converters.runners import process

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeflow_converters.tensors import Tensors

_ROUNDING: Mapping[str, float] = MappingProxyType({"fp16": 2.0**-11})
"""Weights dtype -> its unit roundoff (IEEE 754: half precision has 11 significant bits)."""


def amplification(
    source: Path,
    samples: Sequence[Tensors],
    reference: Sequence[Tensors],
    tolerance: Tolerance,
    weights_dtype: str,
    *,
    work: Path,
    timeout_s: float,
) -> str:
    """What the original fp32 model makes of inputs changed by the dtype's rounding; "" if it stays within
    tolerance, or for fp32.

    A model that fails this test is out of reach of the precision whoever converts it.
    """
    rounding = _ROUNDING.get(weights_dtype)
    if rounding is None:
        return ""
    save_sets(work / "nudged.npz", [_nudged(sample, rounding) for sample in samples])
    spec = {
        "model": str(source.resolve()),
        "optimise": False,
        "samples": str(work / "nudged.npz"),
        "result": str(work / "nudged-outputs.npz"),
    }
    process.call(
        "onnxruntime", spec, what="ONNX Runtime, testing sensitivity,", cwd=work, timeout_s=timeout_s
    )
    verdict = compare(reference, load_sets(work / "nudged-outputs.npz"), tolerance)
    if verdict.passed:
        return ""
    return (
        f"the model itself is too sensitive for {weights_dtype}: nudging its inputs by {rounding:.1e} "
        f"(the rounding of {weights_dtype}) changes {verdict.reasons[0]}"
    )


def _nudged(sample: Tensors, rounding: float) -> dict[str, NDArray[Any]]:
    import numpy as np

    random = np.random.default_rng(0)
    nudged = {}
    for name, array in sample.items():
        if array.dtype.kind == "f":
            signs = random.choice(np.array([-1.0, 1.0]), size=array.shape)
            nudged[name] = (array * (1.0 + rounding * signs)).astype(array.dtype)
        else:
            nudged[name] = array
    return nudged
