"""ncnn's weight file (.bin): walking it, and storing weights as float16 where that is harmless.

The file has no index: each layer of the .param reads what its parameters say, in order. Tagged blocks begin
with four bytes that say how the numbers are stored (0: float32, 0x01306B47: float16, padded to four bytes);
raw blocks are float32 without a tag. Sources: load_model() of each layer in ncnn's src/layer and
ModelBinFromDataReader::load in src/modelbin.cpp.

pnnx's own fp16 cuts the mantissa instead of rounding, and turns every weight below 6.1e-5 into 0: a text
detector whose first convolution holds weights of 1e-5 then sees nothing at all. So the float32 file is
stored as float16 here: rounded to nearest, and a layer whose weights do not fit stays float32, in the file
and, by ncnn's per-layer feature mask, in the runtime.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from edgeflow_converters.errors import UnsupportedModel
from edgeflow_converters.half_weights import fits_half
from edgeflow_converters.targets.ncnn_param import Layer

TAG_FP32, TAG_FP16 = 0, 0x01306B47
# Bits of parameter 31 (src/net.cpp, get_masked_option): no fp16 arithmetic, no fp16 storage and packing.
FEATURE_MASK, _NO_FP16 = "31", 0b11

_CONVOLUTIONS = {
    f"{kind}{dims}"
    for kind in ("Convolution", "ConvolutionDepthWise", "Deconvolution", "DeconvolutionDepthWise")
    for dims in ("", "1D", "3D")
}


@dataclass(frozen=True, slots=True)
class Block:
    """One run of weights of layer `layer` (index in the .param): `count` values from byte `offset`, which
    is past the tag of a tagged block."""

    layer: int
    tagged: bool
    count: int
    offset: int


@dataclass(frozen=True, slots=True)
class HalfWeights:
    """A model with float16 weights: its layers and .bin, how many of its weight bytes stayed float32, and
    the layers that had to for their weights."""

    layers: list[Layer]
    data: bytes
    kept_bytes: int
    islands: tuple[str, ...]


def walk(layers: Sequence[Layer], data: bytes) -> list[Block]:
    """All weight blocks of a .bin with float32 weights.

    Raises UnsupportedModel if the layers and the file do not account for each other to the byte.
    """
    blocks: list[Block] = []
    offset = 0
    for index, layer in enumerate(layers):
        for tagged, count in _blocks_of(layer):
            if tagged:
                tag = int.from_bytes(data[offset : offset + 4], "little")
                if tag != TAG_FP32:
                    raise _unaccounted(f"not where {layer.kind} {layer.name} should read its own")
                offset += 4
            blocks.append(Block(index, tagged, count, offset))
            offset += 4 * count
    if offset != len(data):
        raise _unaccounted(f"{len(data)} bytes, of which the graph accounts for {offset}")
    return blocks


def _unaccounted(what: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"cannot store this ncnn model in fewer bits: its weights are {what}; a layer's format is not known",
        hint="use --precision fp32",
    )


def store_as_half(layers: Sequence[Layer], data: bytes, kept: Collection[str] = frozenset()) -> HalfWeights:
    """The float32 model of `layers` and `data` with its tagged weights as float16 where they fit, and the
    layers named in `kept` as float32 altogether."""
    import numpy as np

    blocks = walk(layers, data)
    arrays = [np.frombuffer(data, "<f4", block.count, block.offset) for block in blocks]
    islands = {b.layer for b, a in zip(blocks, arrays, strict=True) if b.tagged and not fits_half(a)}
    names = tuple(layers[index].name for index in sorted(islands))
    islands |= {index for index, layer in enumerate(layers) if layer.name in kept}
    parts: list[bytes] = []
    kept_bytes = 0
    for block, array in zip(blocks, arrays, strict=True):
        if block.tagged and block.layer not in islands:
            half = array.astype("<f2").tobytes()
            parts.append(TAG_FP16.to_bytes(4, "little") + half + bytes(-len(half) % 4))
            continue
        parts.append(TAG_FP32.to_bytes(4, "little") if block.tagged else b"")
        parts.append(array.tobytes())
        kept_bytes += array.nbytes
    masked = [
        replace(layer, params={**layer.params, FEATURE_MASK: str(_NO_FP16)}) if index in islands else layer
        for index, layer in enumerate(layers)
    ]
    return HalfWeights(masked, b"".join(parts), kept_bytes, names)


def _blocks_of(layer: Layer) -> Iterator[tuple[bool, int]]:
    """(tagged, number of values) of each block that the layer reads, in order. None for a layer type that is
    not listed: walk() finds out if it has weights after all, because the file's length then differs."""

    def param(key: int, default: int = 0) -> int:
        return int(layer.params.get(str(key), default))

    if layer.kind in _CONVOLUTIONS:
        if not param(19):  # weights that come as an input blob
            yield True, param(6)
            yield False, param(0) * param(5)
    elif layer.kind == "InnerProduct":
        yield True, param(2)
        yield False, param(0) * param(1)
    elif layer.kind == "Embed":
        yield True, param(3)
        yield False, param(0) * param(2)
    elif layer.kind == "PReLU":
        yield False, param(0)
    elif layer.kind == "BatchNorm":
        yield False, 4 * param(0)
    elif layer.kind == "Scale":
        yield False, param(0) * (1 + param(1))
    elif layer.kind == "MemoryData":
        shape = [param(key) or 1 for key in (0, 1, 11, 2)]
        yield param(21, 1) == 0, shape[0] * shape[1] * shape[2] * shape[3]
    elif layer.kind in ("LayerNorm", "InstanceNorm"):
        yield False, 2 * param(0) * param(2, 1)
    elif layer.kind == "GroupNorm":
        yield False, 2 * param(1) * param(3, 1)
    elif layer.kind == "Gemm":
        rows, columns, inner = param(7), param(8), param(9)
        if param(4):
            yield True, rows * inner
        if param(5):
            yield True, columns * inner
        if param(6) and param(10) != -1:
            yield True, {0: 1, 1: rows, 2: rows, 3: rows * columns, 4: columns}[param(10)]
    elif layer.kind == "MultiHeadAttention":
        width, size = param(0), param(2)
        for count in (size, width * param(3, width), width * param(4, width)):  # query, key, value
            yield True, count
            yield False, width
        yield True, size
        yield False, size // width
    elif layer.kind == "LSTM":
        hidden, directions = param(3, param(0)), 2 if param(2) == 2 else 1
        yield True, param(1)
        yield True, 4 * hidden * directions
        yield True, 4 * hidden * param(0) * directions
        if hidden != param(0):
            yield True, hidden * param(0) * directions
    elif layer.kind == "GRU":
        directions = 2 if param(2) == 2 else 1
        yield True, param(1)
        yield True, 4 * param(0) * directions
        yield True, 3 * param(0) * param(0) * directions
