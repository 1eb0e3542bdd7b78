"""Normalizations in arithmetic, for the rewrites that write them out.

The arithmetic is that of the operators' documentation (LayerNormalization-17, RMSNormalization-23,
InstanceNormalization-6, GroupNormalization-21, BatchNormalization-15), with the variance as the mean of
squared differences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from edgeflow_converters.inspect import standard_opset
from edgeflow_converters.rewrites.graph import GraphView, attributes, mean_over, node_by_node

if TYPE_CHECKING:
    import onnx

_DEFAULT_EPSILON = 1e-5


def write_out(model: onnx.ModelProto, wanted: Callable[[GraphView, onnx.NodeProto], bool]) -> onnx.ModelProto:
    """The model with every normalization that is `wanted`, and whose input has a known shape, written out."""
    opset = standard_opset(model)

    def rule(view: GraphView, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        write = _WRITERS.get(node.op_type)
        if write is None or node.domain or node.input[0] not in view.shapes or not wanted(view, node):
            return None
        writer = _Writer(view, node, opset)
        write(writer)
        return writer.nodes

    return node_by_node(model, rule)


class _Writer:
    """Collects the nodes that stand for one normalization."""

    def __init__(self, view: GraphView, node: onnx.NodeProto, opset: int) -> None:
        self.view, self.node, self.opset = view, node, opset
        self.own = attributes(node)
        self.shape = view.shapes[node.input[0]]
        self.nodes: list[onnx.NodeProto] = []

    def add(self, kind: str, inputs: Sequence[str], out: str | None = None, **words: Any) -> str:
        import onnx

        name = out or self.view.fresh(f"norm_{kind.lower()}")
        self.nodes.append(onnx.helper.make_node(kind, list(inputs), [name], **words))
        return name

    def reshaped(self, value: str, shape: Sequence[int], out: str | None = None) -> str:
        import numpy as np

        return self.add("Reshape", [value, self.view.add_constant("shape", np.array(shape))], out)

    def mean(self, value: str, axes: Sequence[int], out: str | None = None) -> str:
        name = out or self.view.fresh("norm_mean")
        self.nodes.append(mean_over(self.view, value, axes, name, self.opset))
        return name

    def deviation(self, variance: str) -> str:
        """sqrt(variance + epsilon)"""
        import numpy as np

        epsilon = np.array(self.own.get("epsilon", _DEFAULT_EPSILON), np.float32)
        return self.add("Sqrt", [self.add("Add", [variance, self.view.add_constant("epsilon", epsilon)])])

    def unit(self, value: str, axes: Sequence[int], mean_out: str | None = None) -> tuple[str, str]:
        """The value with mean 0 and variance 1 over `axes`, and what it was divided by."""
        centred = self.add("Sub", [value, self.mean(value, axes, mean_out)])
        deviation = self.deviation(self.mean(self.add("Mul", [centred, centred]), axes))
        return self.add("Div", [centred, deviation]), deviation

    def scaled(self, value: str, scale: str, bias: str) -> None:
        """The node's first output: value * scale + bias, of which the bias may be missing."""
        if not bias:
            self.add("Mul", [value, scale], self.node.output[0])
            return
        self.add("Add", [self.add("Mul", [value, scale]), bias], self.node.output[0])

    def last_axes(self) -> list[int]:
        """From the node's axis to the last one."""
        rank = len(self.shape)
        return list(range(self.own.get("axis", -1) % rank, rank))

    def output(self, number: int) -> str | None:
        return (self.node.output[number] or None) if len(self.node.output) > number else None


def _layer(writer: _Writer) -> None:
    import numpy as np

    unit, deviation = writer.unit(writer.node.input[0], writer.last_axes(), writer.output(1))
    if (inverse := writer.output(2)) is not None:
        one = writer.view.add_constant("one", np.ones((), np.float32))
        writer.add("Div", [one, deviation], inverse)
    writer.scaled(unit, writer.node.input[1], writer.node.input[2] if len(writer.node.input) > 2 else "")


def _channels(writer: _Writer, value: str) -> str:
    """A vector with an entry for each channel, as it meets the node's input."""
    return writer.reshaped(value, [-1] + [1] * (len(writer.shape) - 2))


def _instance(writer: _Writer) -> None:
    unit, _ = writer.unit(writer.node.input[0], list(range(2, len(writer.shape))))
    writer.scaled(unit, _channels(writer, writer.node.input[1]), _channels(writer, writer.node.input[2]))


def _group(writer: _Writer) -> None:
    groups = writer.own["num_groups"]
    grouped = writer.reshaped(writer.node.input[0], [writer.shape[0], groups, -1])
    unit = writer.reshaped(writer.unit(grouped, [2])[0], writer.shape)
    writer.scaled(unit, _channels(writer, writer.node.input[1]), _channels(writer, writer.node.input[2]))


def _batch(writer: _Writer) -> None:
    x, scale, bias, mean, variance = writer.node.input
    centred = writer.add("Sub", [x, _channels(writer, mean)])
    unit = writer.add("Div", [centred, writer.deviation(_channels(writer, variance))])
    writer.scaled(unit, _channels(writer, scale), _channels(writer, bias))


def _root_mean_square(writer: _Writer) -> None:
    x, scale = writer.node.input
    root = writer.deviation(writer.mean(writer.add("Mul", [x, x]), writer.last_axes()))
    writer.scaled(writer.add("Div", [x, root]), scale, "")


_WRITERS: dict[str, Callable[[_Writer], None]] = {
    "BatchNormalization": _batch,
    "GroupNormalization": _group,
    "InstanceNormalization": _instance,
    "LayerNormalization": _layer,
    "RMSNormalization": _root_mean_square,
}
