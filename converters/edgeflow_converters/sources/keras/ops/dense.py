"""Fully connected layers."""

from __future__ import annotations

from edgeflow_converters.sources.keras.ops.activation import activated
from edgeflow_converters.sources.keras.translation import Layer, Translation, Write


def dense(t: Translation, layer: Layer) -> None:
    (source,) = layer.inputs
    inputs = [t.last(source), t.onnx.constant(layer.weights["kernel"])]
    bias = [t.onnx.constant(layer.weights["bias"])] if "bias" in layer.weights else []
    if t.rank(source) == 2:
        made = t.onnx.node("Gemm", [*inputs, *bias])
    else:
        made = t.onnx.node("MatMul", inputs)
        made = t.onnx.node("Add", [made, *bias]) if bias else made
    t.give(layer.output, activated(t, layer, made, first=False), first=False)


KINDS: dict[str, Write] = {"Dense": dense}
