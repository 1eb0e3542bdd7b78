"""Runs an ncnn product over samples. One process per product: ncnn may crash on a bad graph.

Spec: param, bin, options, inputs, outputs (TensorSpec), samples, result (.npz files).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_converters.arrays import load_sets, save_sets
from edgeflow_converters.errors import ConverterFailed
from edgeflow_converters.runners.process import Json, serve
from edgeflow_converters.tensors import TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeflow_converters.tensors import Tensors


def work(spec: Json) -> Json:
    import ncnn

    inputs = [TensorSpec.from_json(item) for item in spec["inputs"]]
    outputs = [TensorSpec.from_json(item) for item in spec["outputs"]]
    with ncnn.Net() as net:
        load(net, spec)
        _require_blobs(net, inputs, outputs)
        results = [run_once(net, inputs, outputs, sample) for sample in load_sets(Path(spec["samples"]))]
    save_sets(Path(spec["result"]), results)
    return {}


def load(net: Any, spec: Json) -> None:
    """Load the spec's param and bin into a fresh ncnn.Net, with its options. Raises ConverterFailed."""
    apply_options(net.opt, spec["options"])
    if net.load_param(spec["param"]) != 0:
        raise ConverterFailed(f"ncnn cannot load {Path(spec['param']).name}: a layer is unknown or malformed")
    if net.load_model(spec["bin"]) != 0:
        raise ConverterFailed(f"ncnn cannot load {Path(spec['bin']).name}: weights are missing or malformed")


def apply_options(options: Any, wanted: dict[str, bool | int]) -> None:
    """Set ncnn options by name. Raises ConverterFailed for one that this ncnn does not have or keep."""
    for name, value in wanted.items():
        if not hasattr(options, name):
            raise ConverterFailed(
                f"this ncnn has no option {name}", hint="install the ncnn that edgeflow pins"
            )
        setattr(options, name, value)
        if getattr(options, name) != value:
            raise ConverterFailed(f"ncnn did not take {name}={value}")


def _require_blobs(net: Any, inputs: list[TensorSpec], outputs: list[TensorSpec]) -> None:
    for kind, specs, present in (
        ("input", inputs, net.input_names()),
        ("output", outputs, net.output_names()),
    ):
        wanted = {spec.runtime_name for spec in specs}
        if wanted != set(present):
            raise ConverterFailed(f"the ncnn graph has {kind}s {sorted(present)}, expected {sorted(wanted)}")


def feed(extractor: Any, inputs: list[TensorSpec], sample: Tensors) -> list[Any]:
    """Give a sample to an extractor. What is returned owns the memory, until the extractor is done."""
    import ncnn

    # A Mat made from an array borrows its memory: clones have their own.
    mats = [ncnn.Mat(spec.to_runtime(sample[spec.name])).clone() for spec in inputs]
    for spec, mat in zip(inputs, mats, strict=True):
        if extractor.input(spec.runtime_name, mat) != 0:
            raise ConverterFailed(f"ncnn refused input {spec.name!r}")
    return mats


def run_once(
    net: Any, inputs: list[TensorSpec], outputs: list[TensorSpec], sample: Tensors
) -> dict[str, NDArray[Any]]:
    """All outputs for one sample, by name, in the model's layout. Raises ConverterFailed."""
    import numpy as np

    results: dict[str, NDArray[Any]] = {}
    with net.create_extractor() as extractor:
        held = feed(extractor, inputs, sample)
        for spec in outputs:
            code, mat = extractor.extract(spec.runtime_name)
            if code != 0:
                raise ConverterFailed(f"ncnn failed to compute output {spec.name!r} (code {code})")
            # A copy: the Mat's memory belongs to the extractor.
            results[spec.name] = in_source_layout(spec, np.array(mat))
        del held
    return results


def in_source_layout(spec: TensorSpec, array: NDArray[Any]) -> NDArray[Any]:
    """The array in the model's layout; one of another size stays as it is, for the gate to name its shape."""
    return spec.from_runtime(array) if array.size == _size(spec) else array


def _size(spec: TensorSpec) -> int:
    size = 1
    for dim in spec.shape:
        size *= dim
    return size


if __name__ == "__main__":
    sys.exit(serve(work))
