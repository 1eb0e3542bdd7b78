"""One case on one runtime: converted, run, and compared with what the suite says, by figures that the gate
does not use."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from edgeflow_converters import precision
from edgeflow_converters.arrays import load_sets, save_sets
from edgeflow_converters.base import Artifact, ConvertRequest, Product, require_written
from edgeflow_converters.coverage.case import AGREES, DECLINED, FAILED, WRONG, Ask, Case, Outcome
from edgeflow_converters.errors import (
    CacheUnwritable,
    ConverterFailed,
    ConvertError,
    ToolMissing,
    UnsupportedModel,
    Unverifiable,
)
from edgeflow_converters.inspect import inspect_model
from edgeflow_converters.pipeline import convert
from edgeflow_converters.targets import get_target

if TYPE_CHECKING:
    from edgeflow_converters.tensors import Tensors

LIMITS: Mapping[str, float] = MappingProxyType({"fp32": 1e-3, "fp16": 3e-2, "int8-dynamic": 0.4, "int8": 0.4})
"""Of an element's own size plus the output's largest: how far it may be off. fp32's is the relative tolerance
that ONNX's backend tests have. Whole numbers must be the same in fp32 and fp16."""

_ENDS_IT = (ToolMissing, CacheUnwritable)
"""Says nothing of the case, and would be the same for every other one."""


def judge(case: Case, ask: Ask, scratch: Path, tools_root: Path, limit_s: float) -> Outcome:
    """What becomes of `case`. `scratch` is a folder for temporary ones; no step may take longer than
    `limit_s`.

    Raises ToolMissing and CacheUnwritable; every other error is an outcome.
    """
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        outcome = _judged(case, ask, Path(folder), tools_root, limit_s)
    return replace(outcome, seconds=time.monotonic() - begun)


def _judged(case: Case, ask: Ask, work: Path, tools_root: Path, limit_s: float) -> Outcome:
    try:
        source = case.write(work)
        inspect_model(source)
        if not case.inputs:
            raise UnsupportedModel(
                f"{case.name} takes or gives values that are no tensors (sequences, optionals)"
            )
        shapes = {name: tuple(array.shape) for name, array in case.inputs[0].items()}
        request = ConvertRequest(
            source, ask.runtime, ask.precision, shapes, case.inputs, timeout_s=limit_s,
            calibration=case.inputs if ask.precision == "int8" else (), expected=case.expected,
        )  # fmt: skip
        got = (_bare if ask.bare else _ours)(request, work, tools_root)
    except _ENDS_IT:
        raise
    except ConverterFailed as error:
        return Outcome(DECLINED if error.node else FAILED, error.message, type(error).__name__)
    except ConvertError as error:
        return Outcome(DECLINED, error.message, type(error).__name__)
    except Exception as error:  # whatever it is, it is this case's, and the next one is to be asked
        return Outcome(FAILED, f"{type(error).__name__}: {error}"[:300], "Exception")
    return _worst(compared(*pair, LIMITS[ask.precision]) for pair in zip(case.expected, got, strict=True))


def _ours(request: ConvertRequest, work: Path, tools_root: Path) -> Sequence[Tensors]:
    """As a user gets it: the outputs of the artifact that convert() handed out."""

    def made(request: ConvertRequest) -> Artifact:
        return convert(request, work / "cache", lambda phase: None, tools_root=tools_root)

    try:
        artifact = made(request)
    except Unverifiable:  # the suite's inputs have a result that says nothing: all zeros, say
        artifact = made(replace(request, samples=[*request.samples, _shuffled(request.samples[0])]))
    return _outputs(request, _product(artifact), artifact.path, work, tools_root)


def _shuffled(inputs: Tensors) -> Tensors:
    """Another input set like this one: the values of every array of floats in another order."""
    import numpy as np

    random = np.random.default_rng(0)
    return {
        name: random.permuted(array) if array.dtype.kind == "f" and array.ndim > 1 else array
        for name, array in inputs.items()
    }


def _bare(request: ConvertRequest, work: Path, tools_root: Path) -> Sequence[Tensors]:
    precision.lookup(request.runtime, request.precision)
    out = work / "bare"
    out.mkdir()
    target = get_target(request.runtime, tools_root)
    product = target.convert(request, out, lambda phase: None)
    require_written(product.files, out, f"the converter of {request.runtime}")
    return _outputs(request, product, out, work, tools_root)


def _outputs(
    request: ConvertRequest, product: Product, folder: Path, work: Path, tools_root: Path
) -> Sequence[Tensors]:
    again = work / "again"
    again.mkdir()
    save_sets(again / "samples.npz", request.samples)
    target = get_target(request.runtime, tools_root)
    target.run(product, folder, again / "samples.npz", again / "outputs.npz", again, request.timeout_s)
    return load_sets(again / "outputs.npz")


def _product(artifact: Artifact) -> Product:
    return Product(
        artifact.files,
        artifact.inputs,
        artifact.outputs,
        artifact.runtime_options,
        artifact.weights_dtype,
        artifact.compute_dtype,
        artifact.tools,
    )


def _worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Of the input sets of one case: the first that is wrong, else the one that is farthest off."""
    told = list(outcomes)
    wrong = next((outcome for outcome in told if outcome.state == WRONG), None)
    return wrong or max(told, key=lambda outcome: outcome.rel_err_max)


def compared(expected: Tensors, got: Tensors, limit: float) -> Outcome:
    """Agrees or wrong: names, shapes, kinds of numbers, where they are not finite, and every element."""
    import numpy as np

    worst = 0.0
    for name, right in expected.items():
        array = got.get(name)
        if array is None:
            return Outcome(WRONG, f"there is no output {name!r}")
        if array.shape != right.shape:
            return Outcome(WRONG, f"{name!r} has shape {list(array.shape)}, right is {list(right.shape)}")
        if right.dtype.kind not in "fiub":
            same = bool((array == right).all())
        elif right.dtype.kind in "iub" and limit < LIMITS["int8"]:
            same = bool((array.astype(np.float64) == right.astype(np.float64)).all())
        else:
            a, b = array.astype(np.float64), right.astype(np.float64)
            finite = np.isfinite(b)
            if (np.isfinite(a) != finite).any() or not np.array_equal(a[~finite], b[~finite], equal_nan=True):
                return Outcome(WRONG, f"{name!r} is not finite elsewhere")
            a, b = a[finite], b[finite]
            scale = np.abs(b) + np.abs(b).max(initial=0.0)
            off = np.abs(a - b) / np.where(scale > 0, scale, 1.0)
            worst = max(worst, float(off.max(initial=0.0)))
            same = worst <= limit
        if not same:
            return Outcome(WRONG, f"{name!r} is {worst:.2g} off, {limit:g} is allowed", rel_err_max=worst)
    return Outcome(AGREES, rel_err_max=worst)
