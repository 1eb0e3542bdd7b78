"""What MNN says of a model. Spec: model. Answer: inputs, outputs (name, dtype, shape), version."""

from __future__ import annotations

import sys
from typing import Any

from edgeflow_converters.errors import ConverterFailed
from edgeflow_converters.runners.process import Json, serve


def work(spec: Json) -> Json:
    import _mnncengine as mnn
    import numpy as np

    try:
        net = mnn.Interpreter(spec["model"])
        session = net.createSession({"backend": "CPU", "numThread": 1})
    except Exception as error:
        raise ConverterFailed(f"MNN cannot load the model: {' '.join(str(error).split())}") from error
    if session is None:
        raise ConverterFailed("MNN cannot make a session of the model")

    def told(tensors: dict[str, Any]) -> list[Json]:
        return [
            {
                "name": name,
                "dtype": str(np.asarray(tensor.getNumpyData()).dtype),
                "shape": list(tensor.getShape()),
            }
            for name, tensor in sorted(tensors.items())
        ]

    inputs, outputs = net.getSessionInputAll(session), net.getSessionOutputAll(session)
    if not outputs:
        raise ConverterFailed("MNN finds no outputs in the model")
    return {"inputs": told(inputs), "outputs": told(outputs), "version": str(net.getModelVersion())}


if __name__ == "__main__":
    sys.exit(serve(work))
