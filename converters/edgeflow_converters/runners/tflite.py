"""Runs a .tflite over samples by LiteRT. One process per product: it may crash on a bad graph.

Spec: model, xnnpack, inputs, outputs (TensorSpec), samples, result (.npz files).
"""

from __future__ import annotations

import math
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
    inputs = [TensorSpec.from_json(item) for item in spec["inputs"]]
    outputs = [TensorSpec.from_json(item) for item in spec["outputs"]]
    model = open_model(Path(spec["model"]), xnnpack=spec["xnnpack"])
    results = [_run_once(model, inputs, outputs, sample) for sample in load_sets(Path(spec["samples"]))]
    save_sets(Path(spec["result"]), results)
    return {}


def open_model(path: Path, *, xnnpack: bool) -> Any:
    """An interpreter that is ready to run. Raises ConverterFailed in LiteRT's own words."""
    from ai_edge_litert import interpreter as litert

    kernels = litert.OpResolverType
    kind = kernels.BUILTIN if xnnpack else kernels.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        model = litert.Interpreter(str(path), num_threads=1, experimental_op_resolver_type=kind)
        model.allocate_tensors()
    except Exception as error:
        raise ConverterFailed(f"LiteRT cannot load {path.name}: {_one_line(error)}") from error
    return model


def _run_once(
    model: Any, inputs: list[TensorSpec], outputs: list[TensorSpec], sample: Tensors
) -> dict[str, NDArray[Any]]:
    results: dict[str, NDArray[Any]] = {}
    try:
        places = _places(model.get_input_details(), inputs)
        for spec in inputs:
            model.set_tensor(places[spec.runtime_name], spec.to_runtime(sample[spec.name]))
        invoke(model)
        places = _places(model.get_output_details(), outputs)
        for spec in outputs:
            array = model.get_tensor(places[spec.runtime_name])  # a copy
            # One of another size stays as it is, for the gate to name its shape.
            results[spec.name] = spec.from_runtime(array) if array.size == math.prod(spec.shape) else array
    except ConverterFailed:
        raise
    except Exception as error:
        raise ConverterFailed(f"LiteRT does not take the samples: {_one_line(error)}") from error
    return results


def invoke(model: Any) -> None:
    """Runs the model on what its inputs hold. Raises ConverterFailed in LiteRT's own words."""
    try:
        model.invoke()
    except Exception as error:
        raise ConverterFailed(f"LiteRT failed to run the model: {_one_line(error)}") from error


def _places(details: list[dict[str, Any]], specs: list[TensorSpec]) -> dict[str, int]:
    """Tensor name -> index. Raises ConverterFailed if the graph has other tensors than the specs say."""
    places = {str(value["name"]): int(value["index"]) for value in details}
    wanted = {spec.runtime_name for spec in specs}
    if set(places) != wanted:
        raise ConverterFailed(f"the TFLite graph has {sorted(places)}, expected {sorted(wanted)}")
    return places


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


if __name__ == "__main__":
    sys.exit(serve(work))
