"""Pad with its axes as an input, without a value, or with less than no padding -> every axis, zero, and a
Slice.

pnnx knows a Pad by its full list of widths and its value; onnx2tf lacks the form with axes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeflow_converters.rewrites.graph import GraphView, attributes, node_by_node

if TYPE_CHECKING:
    import onnx

_TO_THE_END = 2**31 - 1


def apply(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace every Pad of float32 that is so, where the widths are constant and the rank is known; needs
    opset >= 11."""
    return node_by_node(model, _explicit)


def _explicit(view: GraphView, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
    import numpy as np
    import onnx

    if node.op_type != "Pad" or node.domain or len(node.input) < 2 or not view.is_float32(node.input[0]):
        return None
    shape, given = view.shapes.get(node.input[0]), view.constant(node.input[1])
    named = len(node.input) > 3 and bool(node.input[3])
    chosen = view.constant(node.input[3]) if named else None
    if shape is None or given is None or (named and chosen is None):
        return None
    mode = attributes(node).get("mode", b"constant")
    has_value = len(node.input) > 2 and bool(node.input[2])
    lacks_value = mode == b"constant" and not has_value
    if not (lacks_value or named or (given < 0).any()):
        return None
    axes = range(len(shape)) if chosen is None else [int(axis) % len(shape) for axis in chosen]
    widths = np.zeros((2, len(shape)), np.int64)
    widths[:, list(axes)] = given.reshape(2, -1)
    inputs = [node.input[0], view.add_constant("pads", np.maximum(widths, 0).reshape(-1))]
    if mode == b"constant":
        inputs.append(node.input[2] if has_value else view.add_constant("zero", np.zeros((), np.float32)))
    if not (widths < 0).any():
        return [onnx.helper.make_node("Pad", inputs, list(node.output), name=node.name, mode=mode)]
    padded = view.fresh("padded")
    starts = view.add_constant("starts", np.maximum(-widths[0], 0))
    ends = np.where(widths[1] < 0, widths[1], _TO_THE_END)
    return [
        onnx.helper.make_node("Pad", inputs, [padded], mode=mode),
        onnx.helper.make_node(
            "Slice", [padded, starts, view.add_constant("ends", ends)], list(node.output), name=node.name
        ),
    ]
