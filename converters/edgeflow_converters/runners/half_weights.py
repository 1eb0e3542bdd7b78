"""Stores a model's weights as float16, or rounds them to it. Spec: source, out, keep_fp32 (optional). Answer:
islands."""

from __future__ import annotations

import sys

from edgeflow_converters.half_weights import round_weights_to_half, store_weights_as_half
from edgeflow_converters.runners.process import Json, serve


def work(spec: Json) -> Json:
    import onnx

    model = onnx.load(spec["source"])
    islands: list[str] = []
    if spec.get("keep_fp32"):
        round_weights_to_half(model)
    else:
        islands = store_weights_as_half(model)
    onnx.save(model, spec["out"])
    return {"islands": islands}


if __name__ == "__main__":
    sys.exit(serve(work))
