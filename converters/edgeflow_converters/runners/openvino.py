"""Runs an OpenVINO product over samples, with the options that the agent is given. One process per product.

Spec: xml, bin, options, inputs, outputs (TensorSpec), samples, result (.npz files).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_converters.arrays import load_sets, save_sets
from edgeflow_converters.errors import ConverterFailed
from edgeflow_converters.runners.openvino_convert import last_line
from edgeflow_converters.runners.process import Json, serve
from edgeflow_converters.tensors import TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray


def work(spec: Json) -> Json:
    import openvino

    inputs = [TensorSpec.from_json(item) for item in spec["inputs"]]
    outputs = [TensorSpec.from_json(item) for item in spec["outputs"]]
    core = openvino.Core()
    try:
        model = core.read_model(spec["xml"], spec["bin"])
        options = {name.upper(): str(value) for name, value in spec["options"].items()}
        compiled = core.compile_model(model, "CPU", {**options, "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1})
    except RuntimeError as error:
        raise ConverterFailed(f"OpenVINO cannot load the model: {last_line(error)}") from error
    for kind, ports, wanted in (("input", compiled.inputs, inputs), ("output", compiled.outputs, outputs)):
        there = sorted(name for port in ports for name in port.get_names())
        if there != sorted(item.runtime_name for item in wanted):
            expected = sorted(item.runtime_name for item in wanted)
            raise ConverterFailed(f"the OpenVINO model has {kind}s {there}, expected {expected}")
    request = compiled.create_infer_request()
    results: list[dict[str, NDArray[Any]]] = []
    for sample in load_sets(Path(spec["samples"])):
        feeds = {item.runtime_name: item.to_runtime(sample[item.name]) for item in inputs}
        try:
            request.infer(feeds)
        except RuntimeError as error:
            raise ConverterFailed(f"OpenVINO cannot run the model: {last_line(error)}") from error
        results.append({item.name: request.get_tensor(item.runtime_name).data.copy() for item in outputs})
    save_sets(Path(spec["result"]), results)
    return {}


if __name__ == "__main__":
    sys.exit(serve(work))
