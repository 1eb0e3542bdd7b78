"""ncnn's int8 models: written here, because ncnn's packages hold no quantizer.

A layer with int8 weights says so by parameter 8, int8_scale_term: 2 for Convolution and InnerProduct, 1 for
ConvolutionDepthWise, all with one weight scale a channel (a group, where a depthwise layer has several
channels in each). Its weights are tagged 0x000D4B38, one byte each, padded to four. After the bias follow the
weight scales and one scale of what the layer reads, raw float32: 8 bits are round(value * scale), from -127
to 127. Sources: load_model() in ncnn's src/layer/{convolution,convolutiondepthwise,innerproduct}.cpp, and
tools/quantize/ncnn2int8.cpp.

A 3x3 layer of stride 1 would run by Winograd's method, whose integers overflow unless weights have six bits
(tools/quantize/ncnn2table.cpp). It keeps eight, and its feature mask switches Winograd off: ARM CPUs with dot
products never use it for int8 (src/layer/arm/convolution_arm.cpp).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgeflow_converters.errors import ConverterFailed
from edgeflow_converters.targets.ncnn_param import Layer
from edgeflow_converters.targets.ncnn_weights import FEATURE_MASK, TAG_FP32, Block, walk

if TYPE_CHECKING:
    from numpy.typing import NDArray

TAG_INT8 = 0x000D4B38
SCALE_TERM = "8"
_TERMS: Mapping[str, str] = {"Convolution": "2", "ConvolutionDepthWise": "1", "InnerProduct": "2"}
_NO_WINOGRAD = 1 << 6  # bit of the feature mask (src/net.cpp, get_masked_option)
_LARGEST = 127.0
_NOTHING = 1e-20  # weights and ranges below it count as zero: their scales would leave float32


@dataclass(frozen=True, slots=True)
class Int8Model:
    """A model with int8 layers: its layers, its .bin, and the share of the weights that are int8."""

    layers: list[Layer]
    data: bytes
    share: float


def quantizable(layers: Sequence[Layer]) -> list[Layer]:
    """The layers that ncnn can compute in int8, in order."""
    return [layer for layer in layers if _is_quantizable(layer)]


def write_int8(
    layers: Sequence[Layer], data: bytes, ranges: Mapping[str, float], floating: Collection[str] = ()
) -> Int8Model:
    """The float32 model of `layers` and `data` with its quantizable layers in int8, but for those named in
    `floating`. `ranges`: layer name -> the largest absolute value that its input is to hold.

    A layer whose input is always zero stays float32. Raises UnsupportedModel as walk() does.
    """
    blocks = walk(layers, data)
    written: list[Layer] = []
    parts: list[bytes] = []
    small = total = 0
    for index, layer in enumerate(layers):
        own = [block for block in blocks if block.layer == index]
        reach = ranges.get(layer.name, 0.0)
        if _is_quantizable(layer) and layer.name not in floating and reach > _NOTHING:
            parts.extend(_int8_blocks(layer, own, data, reach))
            written.append(_as_int8(layer))
            small += own[0].count
        else:
            parts.extend(_as_they_are(own, data))
            written.append(layer)
        total += sum(block.count for block in own if block.tagged)
    return Int8Model(written, b"".join(parts), small / max(1, total))


def read_back(
    layers: Sequence[Layer], data: bytes, small_layers: Sequence[Layer], small: bytes
) -> Iterator[tuple[str, NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """Of each block of `small`, which write_int8 made of the fp32 model: its layer's name, the fp32 values,
    the values that it means, and the size of a step, all as (channels, values); 0 where nothing was rounded.

    Raises ConverterFailed if `small` is not of that form.
    """
    import numpy as np

    if [layer.name for layer in layers] != [layer.name for layer in small_layers]:
        raise ConverterFailed("the int8 model has other layers than the fp32 one")
    blocks = walk(layers, data)
    at = 0

    def take(count: int, dtype: str, size: int) -> NDArray[Any]:
        nonlocal at
        if at + size > len(small):
            raise ConverterFailed("the int8 model's weights are cut off")
        found = np.frombuffer(small, dtype, count, at)
        at += size
        return found

    for index, (layer, own) in enumerate(zip(layers, small_layers, strict=True)):
        quantized = own.params.get(SCALE_TERM, "0") != "0" and _is_quantizable(layer)
        scales: tuple[NDArray[Any], NDArray[Any]] | None = None
        for block in (block for block in blocks if block.layer == index):
            exact = np.frombuffer(data, "<f4", block.count, block.offset)
            small_block = quantized and block.tagged
            if block.tagged and take(1, "<u4", 4)[0] != (TAG_INT8 if small_block else TAG_FP32):
                raise ConverterFailed(f"the weights of {layer.name} are not where they should be")
            if small_block:
                numbers = take(block.count, "i1", block.count + -block.count % 4)
                scales = exact, numbers
            else:
                yield (
                    layer.name,
                    exact[None],
                    take(block.count, "<f4", 4 * block.count)[None],
                    np.zeros((1, 1)),
                )
        if scales is not None:
            channels = int(layer.params["7" if layer.kind == "ConvolutionDepthWise" else "0"])
            step = 1.0 / take(channels, "<f4", 4 * channels).astype(np.float64)[:, None]
            take(1, "<f4", 4)  # of what the layer reads
            exact, numbers = (array.reshape(channels, -1) for array in scales)
            yield layer.name, exact, numbers * step, np.abs(step)
    if at != len(small):
        raise ConverterFailed(f"the int8 model has {len(small) - at} bytes of weights too many")


def quantize_weights(weights: NDArray[Any], channels: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """(int8 weights, one scale a channel): the largest weight of each channel becomes 127."""
    import numpy as np

    rows = weights.reshape(channels, -1).astype(np.float64)
    largest = np.abs(rows).max(axis=1)
    scales = np.where(largest > _NOTHING, _LARGEST / np.maximum(largest, _NOTHING), 1.0).astype("<f4")
    bytes_of = np.rint(rows * scales[:, None]).clip(-_LARGEST, _LARGEST).astype(np.int8)
    return bytes_of, scales


def _is_quantizable(layer: Layer) -> bool:
    # 19: the weights are an input. 18: what pads the input, which int8 would read in the wrong scale.
    return (
        layer.kind in _TERMS
        and layer.params.get(SCALE_TERM, "0") == "0"
        and layer.params.get("19", "0") == "0"
        and float(layer.params.get("18", "0")) == 0.0
    )


def _as_int8(layer: Layer) -> Layer:
    params = {**layer.params, SCALE_TERM: _TERMS[layer.kind]}
    if layer.kind == "Convolution" and _runs_by_winograd(layer):
        params[FEATURE_MASK] = str(int(params.get(FEATURE_MASK, "0")) | _NO_WINOGRAD)
    return replace(layer, params=params)


def _runs_by_winograd(layer: Layer) -> bool:
    def param(key: str, default: str) -> str:
        return layer.params.get(key, default)

    width, dilation, stride = param("1", "0"), param("2", "1"), param("3", "1")
    kernel = (width, param("11", width))
    steps = (dilation, param("12", dilation), stride, param("13", stride))
    return kernel == ("3", "3") and set(steps) == {"1"}


def _int8_blocks(layer: Layer, own: Sequence[Block], data: bytes, reach: float) -> list[bytes]:
    import numpy as np

    weights, *bias = own
    channels = int(layer.params["7" if layer.kind == "ConvolutionDepthWise" else "0"])
    values = np.frombuffer(data, "<f4", weights.count, weights.offset)
    small, scales = quantize_weights(values, channels)
    return [
        TAG_INT8.to_bytes(4, "little"),
        small.tobytes() + bytes(-small.size % 4),
        *_as_they_are(bias, data),
        scales.tobytes(),
        np.array([_LARGEST / reach], "<f4").tobytes(),
    ]


def _as_they_are(blocks: Sequence[Block], data: bytes) -> list[bytes]:
    return [
        (TAG_FP32.to_bytes(4, "little") if block.tagged else b"")
        + data[block.offset : block.offset + 4 * block.count]
        for block in blocks
    ]
