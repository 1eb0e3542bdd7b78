"""Normalization by stored figures, and rescaling."""

from __future__ import annotations

from edgeflow_converters.sources.keras.translation import Layer, Translation, Write


def batch_norm(t: Translation, layer: Layer) -> None:
    import numpy as np

    (source,) = layer.inputs
    axis = layer.config.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if not isinstance(axis, int) or axis % t.rank(source) != t.rank(source) - 1:
        raise t.declined(layer, f"its axis is {axis}, not the last one")
    mean, variance = layer.weights["moving_mean"], layer.weights["moving_variance"]
    scale = layer.weights.get("gamma", np.ones_like(mean))
    shift = layer.weights.get("beta", np.zeros_like(mean))
    epsilon = float(layer.config["epsilon"])
    if t.rank(source) in (2, 4):
        first = t.rank(source) == 4
        name = t.first(source) if first else t.last(source)
        figures = [t.onnx.constant(each) for each in (scale, shift, mean, variance)]
        made = t.onnx.node("BatchNormalization", [name, *figures], epsilon=epsilon)
        t.give(layer.output, made, first=first)
        return
    factor = scale.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
    offset = (shift - mean * factor).astype(np.float32)
    made = t.onnx.node("Mul", [t.last(source), t.onnx.constant(factor.astype(np.float32))])
    t.give(layer.output, t.onnx.node("Add", [made, t.onnx.constant(offset)]), first=False)


def rescaling(t: Translation, layer: Layer) -> None:
    scale, offset = layer.config["scale"], layer.config.get("offset", 0.0)
    if isinstance(scale, list) or isinstance(offset, list):
        raise t.declined(layer, "it has a scale for each channel")
    made = t.onnx.node("Mul", [t.last(layer.inputs[0]), t.number(scale)])
    t.give(layer.output, t.onnx.node("Add", [made, t.number(offset)]) if offset else made, first=False)


KINDS: dict[str, Write] = {"BatchNormalization": batch_norm, "Rescaling": rescaling}
