"""Enlarging and padding pictures, and cutting their borders."""

from __future__ import annotations

from typing import Any

from edgeflow_converters.sources.keras.translation import Layer, Translation, Write
from edgeflow_converters.sources.keras.windows import pair, require_last


def upsampling(t: Translation, layer: Layer) -> None:
    import numpy as np

    require_last(t, layer)
    how = layer.config.get("interpolation", "nearest")
    if how == "nearest":
        options: dict[str, Any] = {
            "mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor",
        }  # fmt: skip
    elif how == "bilinear":
        options = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    else:
        raise t.declined(layer, f"its interpolation is {how}")
    scales = t.onnx.constant(np.array([1, 1, *pair(layer.config["size"])], np.float32))
    t.give(layer.output, t.onnx.node("Resize", [t.first(layer.inputs[0]), "", scales], **options), first=True)


def zero_padding(t: Translation, layer: Layer) -> None:
    import numpy as np

    require_last(t, layer)
    (top, bottom), (left, right) = (pair(each) for each in layer.config["padding"])
    around = t.onnx.constant(np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
    t.give(layer.output, t.onnx.node("Pad", [t.first(layer.inputs[0]), around]), first=True)


def cropping(t: Translation, layer: Layer) -> None:
    import numpy as np

    require_last(t, layer)
    (top, _), (left, _) = (pair(each) for each in layer.config["cropping"])
    height, width = t.shape(layer.output)[:2]
    starts, ends, axes = ([top, left], [top + height, left + width], [2, 3])
    cut = [t.onnx.constant(np.array(each, np.int64)) for each in (starts, ends, axes)]
    t.give(layer.output, t.onnx.node("Slice", [t.first(layer.inputs[0]), *cut]), first=True)


KINDS: dict[str, Write] = {
    "UpSampling2D": upsampling, "ZeroPadding2D": zero_padding, "Cropping2D": cropping,
}  # fmt: skip
