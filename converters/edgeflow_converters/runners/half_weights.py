"""Stores a model's weights as float16. Spec: source, out."""

from __future__ import annotations

import sys

from edgeflow_converters.half_weights import store_weights_as_half
from edgeflow_converters.runners.process import Json, serve


def work(spec: Json) -> Json:
    import onnx

    onnx.save(store_weights_as_half(onnx.load(spec["source"])), spec["out"])
    return {}


if __name__ == "__main__":
    sys.exit(serve(work))
