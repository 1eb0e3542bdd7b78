"""Convolutions over images: plain, by groups, depthwise, separable, transposed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeflow_converters.sources.keras.ops.activation import activated
from edgeflow_converters.sources.keras.translation import Layer, Translation, Write
from edgeflow_converters.sources.keras.windows import pads, pair, require_last

if TYPE_CHECKING:
    from numpy.typing import NDArray


def conv(t: Translation, layer: Layer) -> None:
    kernel = layer.weights["kernel"].transpose(3, 2, 0, 1)  # h,w,in,out -> out,in,h,w
    made = _node(t, layer, t.first(layer.inputs[0]), kernel, int(layer.config.get("groups", 1)))
    t.give(layer.output, activated(t, layer, made, first=True), first=True)


def depthwise(t: Translation, layer: Layer) -> None:
    kernel = layer.weights.get("depthwise_kernel", layer.weights.get("kernel"))
    made = _node(t, layer, t.first(layer.inputs[0]), _by_channel(kernel), t.shape(layer.inputs[0])[2])
    t.give(layer.output, activated(t, layer, made, first=True), first=True)


def separable(t: Translation, layer: Layer) -> None:
    channels = t.shape(layer.inputs[0])[2]
    kernel = _by_channel(layer.weights["depthwise_kernel"])
    spread = _node(t, layer, t.first(layer.inputs[0]), kernel, channels, biased=False)
    mixing = layer.weights["pointwise_kernel"].transpose(3, 2, 0, 1)
    inputs = [spread, t.onnx.constant(mixing), *_bias(t, layer)]
    made = t.onnx.node("Conv", inputs, kernel_shape=[1, 1])
    t.give(layer.output, activated(t, layer, made, first=True), first=True)


def transposed(t: Translation, layer: Layer) -> None:
    require_last(t, layer)
    if layer.config.get("output_padding") is not None:
        raise t.declined(layer, "it tells its output_padding")
    kernel = layer.weights["kernel"].transpose(3, 2, 0, 1)  # h,w,out,in -> in,out,h,w
    strides = pair(layer.config["strides"])
    dilations = pair(layer.config.get("dilation_rate") or 1)
    before, after, more = [], [], []
    for size, made, window, step, spread in zip(
        t.shape(layer.inputs[0])[:2], t.shape(layer.output)[:2], kernel.shape[2:], strides, dilations,
        strict=True,
    ):  # fmt: skip
        over = (size - 1) * step + (window - 1) * spread + 1 - made
        before.append(max(over, 0) // 2)
        after.append(max(over, 0) - max(over, 0) // 2)
        more.append(max(-over, 0))
    given = t.onnx.node(
        "ConvTranspose",
        [t.first(layer.inputs[0]), t.onnx.constant(kernel), *_bias(t, layer)],
        kernel_shape=list(kernel.shape[2:]),
        strides=strides,
        dilations=dilations,
        pads=[*before, *after],
        output_padding=more,
    )
    t.give(layer.output, activated(t, layer, given, first=True), first=True)


def _by_channel(kernel: Any) -> NDArray[Any]:
    """h,w,in,multiplier -> in*multiplier,1,h,w."""
    height, width, channels, multiplier = kernel.shape
    laid: NDArray[Any] = kernel.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)
    return laid


def _node(
    t: Translation, layer: Layer, source: str, kernel: NDArray[Any], group: int, *, biased: bool = True
) -> str:
    require_last(t, layer)
    strides = pair(layer.config["strides"])
    dilations = pair(layer.config.get("dilation_rate") or 1)
    window = list(kernel.shape[2:])
    return t.onnx.node(
        "Conv",
        [source, t.onnx.constant(kernel), *(_bias(t, layer) if biased else ())],
        kernel_shape=window,
        strides=strides,
        dilations=dilations,
        group=group,
        pads=pads(t, layer, window, strides, dilations),
    )


def _bias(t: Translation, layer: Layer) -> list[str]:
    return [t.onnx.constant(layer.weights["bias"])] if "bias" in layer.weights else []


KINDS: dict[str, Write] = {
    "Conv2D": conv,
    "DepthwiseConv2D": depthwise,
    "SeparableConv2D": separable,
    "Conv2DTranspose": transposed,
}
