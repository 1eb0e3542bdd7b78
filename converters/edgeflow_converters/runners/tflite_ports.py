"""What goes into and comes out of a .tflite. Spec: model. Answer: inputs, outputs, signature, keys.

`inputs` and `outputs` are lists of name, dtype, shape in the graph's order. `keys` are the signature's names
of both: tensor name -> key.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edgeflow_converters.runners.process import Json, serve
from edgeflow_converters.runners.tflite import open_model


def work(spec: Json) -> Json:
    import numpy as np

    model = open_model(Path(spec["model"]), xnnpack=False)

    def told(details: list[Json]) -> list[Json]:
        return [
            {
                "name": str(value["name"]),
                "dtype": np.dtype(value["dtype"]).name,
                "shape": [int(size) for size in value["shape_signature"]],
            }
            for value in details
        ]

    signatures = model.get_signature_list()
    signature, keys = "", {}
    if len(signatures) == 1:
        signature = next(iter(signatures))
        runner = model.get_signature_runner(signature)
        sides = (runner.get_input_details(), runner.get_output_details())
        keys = {str(value["name"]): key for side in sides for key, value in side.items()}
    return {
        "inputs": told(model.get_input_details()),
        "outputs": told(model.get_output_details()),
        "signature": signature,
        "keys": keys,
    }


if __name__ == "__main__":
    sys.exit(serve(work))
