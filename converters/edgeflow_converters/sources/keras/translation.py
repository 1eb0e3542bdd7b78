"""Keras layers as ONNX nodes: what the families in ops/ write with.

Keras keeps channels last, ONNX's convolutions take them second. A tensor of four axes may be had in both
orders here, each made when first asked for: between convolutions nothing is transposed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_converters.errors import UnsupportedModel
from edgeflow_converters.sources.onnx_graph import OnnxGraph

if TYPE_CHECKING:
    from numpy.typing import NDArray

TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
FIRST_AXIS = (0, 2, 3, 1)
"""An axis of a tensor with channels last -> where it is with channels second."""
_BATCH = "batch"


@dataclass(frozen=True, slots=True)
class Layer:
    """One use of a layer. Tensors are their numbers."""

    kind: str
    name: str
    config: Mapping[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    weights: Mapping[str, NDArray[Any]]

    @property
    def output(self) -> int:
        return self.outputs[0]


class Translation:
    """The graph in the making. Shapes are Keras's, channels last, an open batch being None."""

    def __init__(self, shapes: Sequence[Sequence[int | None]], made_by: str) -> None:
        self.onnx = OnnxGraph()
        self.made_by = made_by  # the version of Keras that wrote the file
        self._shapes = shapes
        self._last: dict[int, str] = {}
        self._first: dict[int, str] = {}

    def shape(self, tensor: int) -> tuple[int, ...]:
        """The sizes after the batch, which are all known."""
        return tuple(int(size or 0) for size in self._shapes[tensor][1:])

    def rank(self, tensor: int) -> int:
        """The number of axes, the batch included."""
        return len(self._shapes[tensor])

    def last(self, tensor: int) -> str:
        """The tensor as Keras has it."""
        if tensor not in self._last:
            self._last[tensor] = self.onnx.node("Transpose", [self._first[tensor]], perm=list(TO_LAST))
        return self._last[tensor]

    def first(self, tensor: int) -> str:
        """The tensor of four axes with its channels second."""
        if tensor not in self._first:
            self._first[tensor] = self.onnx.node("Transpose", [self._last[tensor]], perm=list(TO_FIRST))
        return self._first[tensor]

    def is_first(self, *tensors: int) -> bool:
        """Whether to work with channels second: all have four axes, and one is in that order already."""
        return all(self.rank(one) == 4 for one in tensors) and any(one in self._first for one in tensors)

    def give(self, tensor: int, name: str, *, first: bool) -> None:
        """`name` is what a layer gives."""
        (self._first if first else self._last)[tensor] = name

    def same(self, layer: Layer, make: Callable[[str], str]) -> None:
        """A layer that works on each number by itself: in the order that its input is in."""
        (source,) = layer.inputs
        first = self.is_first(source)
        name = make(self.first(source) if first else self.last(source))
        self.give(layer.output, name, first=first)

    def number(self, value: float) -> str:
        """A constant of one float."""
        import numpy as np

        return self.onnx.constant(np.float32(value), f"number {value!r}")

    def declined(self, layer: Layer, why: str) -> UnsupportedModel:
        """The error that names this layer."""
        return UnsupportedModel(
            f"Keras's {layer.kind} {layer.name!r} is not read: {why}", hint="export the model as ONNX"
        )


Write = Callable[[Translation, Layer], None]
"""Adds what a layer computes to the graph. Raises UnsupportedModel for what it cannot express."""


def write_onnx(told: Mapping[str, Any], weights: Path, name: str, out: Path) -> None:
    """Write the model that foreign/keras_model.py told of, with its `weights`, to `out`.

    Raises UnsupportedModel naming the layer that cannot be expressed.
    """
    import numpy as np

    from edgeflow_converters.sources.keras.ops import KINDS

    translation = Translation(told["tensors"], told["version"])
    for number, port in enumerate(told["inputs"]):
        if port["dtype"] != "float32":
            raise UnsupportedModel(f"{name}: its input {port['name']!r} is {port['dtype']}, no float32")
        translation.give(number, port["name"], first=False)
    with np.load(weights, allow_pickle=False) as arrays:
        for each in told["layers"]:
            values = {key: arrays[place].astype(np.float32) for key, place in each["weights"].items()}
            ends = tuple(each["inputs"]), tuple(each["outputs"])
            layer = Layer(each["kind"], each["name"], each["config"], *ends, values)
            KINDS[layer.kind](translation, layer)
    outputs = {}
    for port in told["outputs"]:
        translation.onnx.node("Identity", [translation.last(port["tensor"])], port["name"])
        outputs[port["name"]] = ("float32", _open(told["tensors"][port["tensor"]]))
    inputs = {port["name"]: ("float32", _open(port["shape"])) for port in told["inputs"]}
    translation.onnx.save(out, inputs, outputs)


def _open(shape: Sequence[int | None]) -> list[int | str]:
    return [_BATCH if size is None else size for size in shape]
