"""Comparisons, logic and Where in arithmetic on 0 and 1: Greater(a, b) -> ceil(min(max(a - b, 0), 1)).

ncnn has no booleans. The forms are exact for finite floats: a - b is 0 only for equal a and b (IEEE 754 with
gradual underflow), and Where is c * x + (1 - c) * y, of which one term is 0. It is how max-pool non-maximum
suppression, heat * (heat == pool(heat)), reaches such a runtime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeflow_converters.rewrites.graph import GraphView, attributes

if TYPE_CHECKING:
    import onnx

_COMPARISONS = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})
_LOGIC = frozenset({"And", "Not", "Or", "Xor"})
_MOVES = frozenset(
    {
        "Concat",
        "Expand",
        "Flatten",
        "Gather",
        "Identity",
        "Reshape",
        "Slice",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    }
)
"""Operators that do with floats what they do with booleans."""


def apply(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace all of it, if what is compared are floats and every reader of a boolean can be written so; else
    nothing. Needs opset >= 13."""
    import onnx

    if not any(node.op_type in _COMPARISONS | _LOGIC or _to_bool(node) for node in model.graph.node):
        return model
    writer = _Writer(model)
    nodes = []
    for node in model.graph.node:
        written = writer.written(node)
        if written is None:
            return model
        nodes += written
    if writer.booleans & {value.name for value in model.graph.output}:
        return model
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    del changed.graph.value_info[:]  # which says that they are booleans
    del changed.graph.node[:]
    changed.graph.node.extend(nodes)
    del changed.graph.initializer[:]
    changed.graph.initializer.extend(writer.view.graph.initializer)
    return changed


class _Writer:
    """Writes the nodes in their order; knows which values were booleans, and are 0 or 1 now."""

    def __init__(self, model: onnx.ModelProto) -> None:
        import onnx

        copied = onnx.ModelProto()
        copied.CopyFrom(model)
        self.view = GraphView(copied)
        assert self.view.types is not None  # asked before the graph changes
        self.booleans: set[str] = set()
        for tensor in copied.graph.initializer:
            if tensor.data_type == onnx.TensorProto.BOOL:
                array = onnx.numpy_helper.to_array(tensor).astype("f4")
                tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
                self.booleans.add(tensor.name)

    def written(self, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        """What stands for the node; None if there is nothing that could."""
        reads = self.booleans & set(node.input)
        kind = node.op_type
        if kind in _COMPARISONS and all(self._is_float(name) for name in node.input):
            made = self._compared(node)
        elif kind in _LOGIC and reads == set(node.input):
            made = self._combined(node)
        elif kind == "Where" and node.input[0] in reads:
            return self._chosen(node)
        elif _to_bool(node) and (reads or self._is_float(node.input[0])):
            made = self._identity(node) if reads else self._is_not_zero(node)
        elif kind == "Cast" and reads:
            return self._cast(node)
        elif kind in _MOVES and node.input[0] in reads:
            made = [node]
        elif reads or kind in _COMPARISONS | _LOGIC or _to_bool(node):
            return None
        else:
            return [node]
        self.booleans.update(node.output)
        return made

    def _is_float(self, name: str) -> bool:
        return name in self.booleans or self.view.is_float32(name)

    def _one(self) -> str:
        import numpy as np

        if self.view.constant("arithmetic_one") is None:
            self.view.keep_constant("arithmetic_one", np.ones((), np.float32))
        return "arithmetic_one"

    def _compared(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        a, b = node.input
        difference = self.view.fresh("difference")
        if node.op_type == "Equal":
            unequal = self.view.fresh("unequal")
            return [
                _node("Sub", [a, b], difference),
                *self._step(difference, unequal, "Abs"),
                self._not(unequal, node.output[0]),
            ]
        if node.op_type in ("Greater", "Less"):
            order = [a, b] if node.op_type == "Greater" else [b, a]
            return [_node("Sub", order, difference), *self._step(difference, node.output[0], "Relu")]
        order = [b, a] if node.op_type == "GreaterOrEqual" else [a, b]
        opposite = self.view.fresh("opposite")
        return [
            _node("Sub", order, difference),
            *self._step(difference, opposite, "Relu"),
            self._not(opposite, node.output[0]),
        ]

    def _step(self, value: str, out: str, sign: str) -> list[onnx.NodeProto]:
        """ceil(min(sign(value), 1)): 0 where `sign` (Abs or Relu) of the value is 0, else 1."""
        distance, limited = self.view.fresh("distance"), self.view.fresh("limited")
        return [
            _node(sign, [value], distance),
            _node("Min", [distance, self._one()], limited),
            _node("Ceil", [limited], out),
        ]

    def _not(self, value: str, out: str) -> onnx.NodeProto:
        return _node("Sub", [self._one(), value], out)

    def _combined(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        out = node.output[0]
        if node.op_type == "Not":
            return [self._not(node.input[0], out)]
        if node.op_type == "Xor":
            difference = self.view.fresh("difference")
            return [_node("Sub", list(node.input), difference), _node("Abs", [difference], out)]
        return [_node("Mul" if node.op_type == "And" else "Max", list(node.input), out)]

    def _chosen(self, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        condition, x, y = node.input
        if not (self._is_float(x) and self._is_float(y)):
            return None
        if {x, y} <= self.booleans:
            self.booleans.update(node.output)
        otherwise, first, second = (self.view.fresh(name) for name in ("otherwise", "first", "second"))
        return [
            self._not(condition, otherwise),
            _node("Mul", [condition, x], first),
            _node("Mul", [otherwise, y], second),
            _node("Add", [first, second], node.output[0]),
        ]

    def _is_not_zero(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        return self._step(node.input[0], node.output[0], "Abs")

    def _identity(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        return [_node("Identity", [node.input[0]], node.output[0])]

    def _cast(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        import onnx

        if attributes(node)["to"] == onnx.TensorProto.FLOAT:
            return self._identity(node)
        return [node]


def _node(kind: str, inputs: list[str], output: str) -> onnx.NodeProto:
    import onnx

    return onnx.helper.make_node(kind, inputs, [output])


def _to_bool(node: onnx.NodeProto) -> bool:
    import onnx

    return node.op_type == "Cast" and attributes(node)["to"] == onnx.TensorProto.BOOL
