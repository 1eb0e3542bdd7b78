"""Stores a model's weights as float16. Spec: source, out. Answer: islands."""

from __future__ import annotations

import sys

from edgeflow_converters.half_weights import store_weights_as_half
from edgeflow_converters.runners.process import Json, serve


def work(spec: Json) -> Json:
    import onnx

    model = onnx.load(spec["source"])
    islands = store_weights_as_half(model)
    onnx.save(model, spec["out"])
    return {"islands": islands}


if __name__ == "__main__":
    sys.exit(serve(work))
