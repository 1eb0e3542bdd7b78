"""A reduction over an empty list of axes, which means all of them -> one that names them.

pnnx and mnnconvert leave such a tensor as it is: they take no axes for none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeflow_converters.rewrites.graph import GraphView, attributes, node_by_node

if TYPE_CHECKING:
    import onnx


def apply(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write the axes of every such reduction, if the rank of what it reduces is known."""
    return node_by_node(model, _with_axes)


def _with_axes(view: GraphView, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
    import numpy as np
    import onnx

    if not node.op_type.startswith("Reduce") or node.domain or node.input[0] not in view.shapes:
        return None
    own = attributes(node)
    given = view.constant(node.input[1]) if len(node.input) > 1 and node.input[1] else None
    if given is None or given.size or own.pop("noop_with_empty_axes", 0):
        return None
    axes = list(range(len(view.shapes[node.input[0]])))
    if not axes:
        return None
    inputs = [node.input[0], view.add_constant("axes", np.array(axes))]
    return [onnx.helper.make_node(node.op_type, inputs, list(node.output), name=node.name, **own)]
