"""What goes into and comes out of a .tflite. Spec: model. Answer: inputs, outputs, signature, keys.

`inputs` and `outputs` are lists of name, dtype, shape in the graph's order; a free axis is -1. Converters
also call axes of outputs free that are not: where no input has one, the model is run once to see what it
gives. `keys` are the signature's names of both: tensor name -> key.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from edgeflow_converters.runners.process import Json, serve
from edgeflow_converters.runners.tflite import invoke, open_model


def work(spec: Json) -> Json:
    model = open_model(Path(spec["model"]), xnnpack=False)
    inputs, outputs = (
        [_told(value) for value in details]
        for details in (model.get_input_details(), model.get_output_details())
    )
    if _has_free_axis(outputs) and not _has_free_axis(inputs):
        _run_on_zeros(model)
        for value, details in zip(outputs, model.get_output_details(), strict=True):
            value["shape"] = list(model.get_tensor(details["index"]).shape)
    signatures = model.get_signature_list()
    signature, keys = "", {}
    if len(signatures) == 1:
        signature = next(iter(signatures))
        runner = model.get_signature_runner(signature)
        sides = (runner.get_input_details(), runner.get_output_details())
        keys = {str(value["name"]): key for side in sides for key, value in side.items()}
    return {
        "inputs": inputs,
        "outputs": outputs,
        "signature": signature,
        "keys": keys,
    }


def _told(details: Json) -> Json:
    import numpy as np

    return {
        "name": str(details["name"]),
        "dtype": np.dtype(details["dtype"]).name,
        "shape": [int(size) for size in details["shape_signature"]],
    }


def _run_on_zeros(model: Any) -> None:
    import numpy as np

    for details in model.get_input_details():
        model.set_tensor(details["index"], np.zeros(details["shape"], details["dtype"]))
    invoke(model)


def _has_free_axis(ports: list[Json]) -> bool:
    return any(-1 in port["shape"] for port in ports)


if __name__ == "__main__":
    sys.exit(serve(work))
