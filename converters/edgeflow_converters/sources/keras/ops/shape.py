"""Layers that arrange numbers, and those that do nothing but in training."""

from __future__ import annotations

from edgeflow_converters.sources.keras.translation import Layer, Translation, Write


def reshaped(t: Translation, layer: Layer) -> None:
    """Flatten and Reshape: in Keras's order, channels last. 0 keeps the batch."""
    import numpy as np

    if layer.config.get("data_format") not in (None, "channels_last"):
        raise t.declined(layer, f"its data_format is {layer.config['data_format']}")
    shape = t.onnx.constant(np.array([0, *t.shape(layer.output)], np.int64))
    t.give(layer.output, t.onnx.node("Reshape", [t.last(layer.inputs[0]), shape]), first=False)


def permuted(t: Translation, layer: Layer) -> None:
    order = [0, *(int(axis) for axis in layer.config["dims"])]
    t.give(layer.output, t.onnx.node("Transpose", [t.last(layer.inputs[0])], perm=order), first=False)


def nothing(t: Translation, layer: Layer) -> None:
    t.same(layer, lambda name: name)


KINDS: dict[str, Write] = {
    "Flatten": reshaped, "Reshape": reshaped, "Permute": permuted,
    **dict.fromkeys(
        ("InputLayer", "Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout",
         "ActivityRegularization", "Identity"),
        nothing,
    ),
}  # fmt: skip
