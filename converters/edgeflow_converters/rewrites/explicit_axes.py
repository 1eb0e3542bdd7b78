"""A reduction over all axes that does not name them -> one that does.

pnnx and mnnconvert leave such a tensor as it is: they take no axes for none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeflow_converters.inspect import standard_opset
from edgeflow_converters.rewrites.graph import GraphView, attributes, node_by_node

if TYPE_CHECKING:
    import onnx

_INPUT_SINCE = 18
"""The opset since which all reductions take their axes as an input (ReduceSum since 13)."""


def apply(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write the axes of every reduction without, if the rank of what it reduces is known."""
    opset = standard_opset(model)

    def rule(view: GraphView, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        return _with_axes(view, node, opset)

    return node_by_node(model, rule)


def _with_axes(view: GraphView, node: onnx.NodeProto, opset: int) -> list[onnx.NodeProto] | None:
    import numpy as np
    import onnx

    if not node.op_type.startswith("Reduce") or node.domain or node.input[0] not in view.shapes:
        return None
    own = attributes(node)
    given = view.constant(node.input[1]) if len(node.input) > 1 and node.input[1] else None
    named = len(node.input) > 1 and node.input[1] and (given is None or given.size)
    if named or own.get("axes") or own.pop("noop_with_empty_axes", 0):
        return None
    own.pop("axes", None)
    axes = list(range(len(view.shapes[node.input[0]])))
    if not axes:
        return None
    inputs = [node.input[0]]
    if opset >= _INPUT_SINCE or (node.op_type == "ReduceSum" and opset >= 13):
        inputs.append(view.add_constant("axes", np.array(axes)))
    else:
        own["axes"] = axes
    return [onnx.helper.make_node(node.op_type, inputs, list(node.output), name=node.name, **own)]
