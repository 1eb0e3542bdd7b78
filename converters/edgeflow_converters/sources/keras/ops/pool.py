"""Poolings, over windows and over everything."""

from __future__ import annotations

from functools import partial

from edgeflow_converters.sources.keras.translation import Layer, Translation, Write
from edgeflow_converters.sources.keras.windows import pads, pair, require_last


def pool(t: Translation, layer: Layer, kind: str) -> None:
    """Over windows. What "same" pads does not count in an average."""
    require_last(t, layer)
    window = pair(layer.config["pool_size"])
    strides = pair(layer.config.get("strides") or window)
    made = t.onnx.node(
        kind,
        [t.first(layer.inputs[0])],
        kernel_shape=window,
        strides=strides,
        pads=pads(t, layer, window, strides, (1, 1)),
    )
    t.give(layer.output, made, first=True)


def whole(t: Translation, layer: Layer, kind: str) -> None:
    """Over the whole picture."""
    require_last(t, layer)
    made = t.onnx.node(kind, [t.first(layer.inputs[0])])
    if layer.config.get("keepdims"):
        t.give(layer.output, made, first=True)
        return
    t.give(layer.output, t.onnx.node("Flatten", [made], axis=1), first=False)


KINDS: dict[str, Write] = {
    "MaxPooling2D": partial(pool, kind="MaxPool"),
    "AveragePooling2D": partial(pool, kind="AveragePool"),
    "GlobalMaxPooling2D": partial(whole, kind="GlobalMaxPool"),
    "GlobalAveragePooling2D": partial(whole, kind="GlobalAveragePool"),
}
