"""The ONNX graph as a family of operators sees it while it is written: constants, shapes, names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeflow_converters.errors import UnsupportedModel
from edgeflow_converters.paddle.program import Program

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_CONSTANT_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Node:
    """One ONNX node. An input that is left out is ""."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def has(self, index: int) -> bool:
        """Whether there is such an input."""
        return index < len(self.inputs) and self.inputs[index] != ""

    def number(self, name: str, default: float) -> float:
        return float(self.attributes.get(name, default))

    def whole(self, name: str, default: int) -> int:
        return int(self.attributes.get(name, default))

    def list(self, name: str, default: list[int]) -> list[int]:
        return [int(item) for item in self.attributes.get(name, default)]

    def text(self, name: str, default: str) -> str:
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else str(value)

    def declined(self, why: str) -> UnsupportedModel:
        """The error that names this node."""
        return UnsupportedModel(
            f"paddlelite cannot take {self.kind} {self.name or self.outputs[0]!r}: {why}",
            hint="change the model's code there, or use another runtime",
        )


@dataclass(frozen=True, slots=True)
class Graph:
    """What is known of the model's tensors, and the program that grows.

    `constants` are the tensors whose values are known, `shapes` and `dtypes` those of the others, and `names`
    leads from ONNX tensors to the program's.
    """

    program: Program
    constants: dict[str, NDArray[Any]]
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]
    names: dict[str, str]

    def constant(self, node: Node, index: int) -> NDArray[Any]:
        """The value of an input that must be known. Raises UnsupportedModel."""
        name = node.inputs[index]
        if name not in self.constants:
            raise node.declined(f"its input {name!r} is computed, and must be a constant")
        return self.constants[name]

    def is_constant(self, node: Node, index: int) -> bool:
        return node.inputs[index] in self.constants

    def shape(self, node: Node, name: str) -> tuple[int, ...]:
        """A tensor's shape. Raises UnsupportedModel where shape inference left it open."""
        if name in self.constants:
            return tuple(self.constants[name].shape)
        if name not in self.shapes:
            raise node.declined(f"the shape of {name!r} depends on the input's values")
        return self.shapes[name]

    def read(self, node: Node, index: int) -> str:
        """The program's tensor for an input; a constant becomes a parameter."""
        import numpy as np

        name = node.inputs[index]
        if name in self.constants:
            array = self.constants[name]
            return self.program.parameter(array.astype(np.float32) if array.dtype == np.float64 else array)
        return self.names[name]

    def write(self, node: Node, index: int = 0) -> str:
        """A new tensor of the program for an output."""
        name = node.outputs[index]
        made = self.program.tensor(self.dtypes.get(name, "float32"), self.shape(node, name))
        self.names[name] = made
        return made

    def temporary(self, shape: tuple[int, ...], dtype: str = "float32") -> str:
        return self.program.tensor(dtype, shape)

    def one_to_one(self, node: Node, kind: str, **attributes: Any) -> None:
        """An operation from the first input to the first output, X to Out."""
        source = self.read(node, 0)
        self.program.operation(kind, {"X": [source]}, {"Out": [self.write(node)]}, **attributes)

    def reshaped(self, tensor: str, shape: tuple[int, ...], into: str | None = None) -> str:
        """The tensor's elements in another shape."""
        made = into or self.temporary(shape)
        seen = self.temporary((0, *self.program.shape(tensor)))
        outputs = {"Out": [made], "XShape": [seen]}
        self.program.operation("reshape2", {"X": [tensor]}, outputs, shape=list(shape))
        return made


Write = Callable[[Graph, Node], None]
"""Appends what a node computes to the program. Raises UnsupportedModel for what it cannot express."""
