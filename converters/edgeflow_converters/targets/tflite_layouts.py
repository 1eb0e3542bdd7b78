"""How the axes of an ONNX model's tensors lie in the .tflite that onnx2tf made of it.

onnx2tf turns inputs into channels-last ones by their rank, whether they hold channels or not, and tells so
nowhere. So inputs that no convolution reads are kept as they are (its option -kat), and for every tensor the
two layouts it can have are compared with the shape that it has. Where both fit, both are run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeflow_converters.errors import UnsupportedModel

if TYPE_CHECKING:
    import onnx

Perm = tuple[int, ...]

_READS_CHANNELS = frozenset({"Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool"})
# What an image meets on its way to the first convolution: these leave every axis where it is.
_KEEPS_AXES = frozenset({"Add", "Sub", "Mul", "Div", "Cast", "Clip", "Pad", "BatchNormalization", "Identity"})


def images(source: Path) -> set[str]:
    """The inputs whose axis 1 holds channels: what is computed of them first is a convolution or pooling."""
    import onnx

    graph = onnx.load(source, load_external_data=False).graph
    return {value.name for value in graph.input if _is_image(value, graph)}


def _is_image(value: onnx.ValueInfoProto, graph: onnx.GraphProto) -> bool:
    if len(value.type.tensor_type.shape.dim) < 3:
        return False
    reached, met = {value.name}, set()
    for node in graph.node:  # in topological order
        if not reached.intersection(node.input):
            continue
        if node.op_type in _KEEPS_AXES:
            reached.update(node.output)
        else:
            met.add(node.op_type)
    return bool(met) and met <= _READS_CHANNELS


def candidates(name: str, shape: Sequence[int], runtime_shape: Sequence[int]) -> list[Perm | None]:
    """The permutations, as TensorSpec has them, that make `runtime_shape` of `shape`; the likelier first.

    Two that move the elements alike, because they only move axes of one, count as one. Raises
    UnsupportedModel if neither layout fits.
    """
    rank = len(shape)
    if not shape and all(size == 1 for size in runtime_shape):
        return [None]  # a number alone, however it is wrapped
    perms: list[Perm | None] = [None]
    if rank >= 3:
        perms.insert(0, (0, *range(2, rank), 1))
    found: list[Perm | None] = []
    moves = set()
    for perm in perms:
        order = perm or tuple(range(rank))
        if [shape[axis] for axis in order] != list(runtime_shape):
            continue
        move = tuple(axis for axis in order if shape[axis] != 1)
        if move not in moves:
            moves.add(move)
            found.append(perm)
    if not found:
        raise UnsupportedModel(
            f"onnx2tf made {list(runtime_shape)} of tensor {name!r}, which is {list(shape)}: "
            "neither the same axes nor channels last",
            hint="use another runtime, e.g. --runtime onnxruntime",
        )
    return found
