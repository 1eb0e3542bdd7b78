"""What convolutions and poolings share: the sizes of a window, and how it is padded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgeflow_converters.sources.keras.translation import Layer, Translation


def pair(value: Any) -> list[int]:
    """One number for both axes, or one for each."""
    return [int(each) for each in value] if isinstance(value, (list, tuple)) else [int(value)] * 2


def require_last(t: Translation, layer: Layer) -> None:
    """Raises UnsupportedModel where the channels are not the last axis."""
    if layer.config.get("data_format") not in (None, "channels_last"):
        raise t.declined(layer, f"its data_format is {layer.config['data_format']}")


def pads(
    t: Translation, layer: Layer, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[int]:
    """ONNX's pads of "same", which puts the odd one behind, or "valid"."""
    if layer.config["padding"] == "valid":
        return [0, 0, 0, 0]
    if layer.config["padding"] != "same":
        raise t.declined(layer, f"its padding is {layer.config['padding']}")
    before, after = [], []
    for length, window, step, spread in zip(
        t.shape(layer.inputs[0])[:2], kernel, strides, dilations, strict=True
    ):
        total = max((-(-length // step) - 1) * step + (window - 1) * spread + 1 - length, 0)
        before.append(total // 2)
        after.append(total - total // 2)
    return [*before, *after]
