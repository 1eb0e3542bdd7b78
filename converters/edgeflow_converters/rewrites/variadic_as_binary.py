"""Max, Min, Sum and Mean of any number of tensors -> of two at a time.

pnnx leaves the third input of a Max hanging, mnnconvert dies of a Mean of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeflow_converters.rewrites.graph import GraphView, node_by_node

if TYPE_CHECKING:
    import onnx

_PAIRS = {"Max": "Max", "Min": "Min", "Sum": "Add", "Mean": "Add"}


def apply(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace every such node that has not just two inputs, and every Mean of float32."""
    return node_by_node(model, _in_pairs)


def _in_pairs(view: GraphView, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
    import numpy as np
    import onnx

    if node.op_type not in _PAIRS or node.domain:
        return None
    mean = node.op_type == "Mean"
    if (len(node.input) == 2 and node.op_type != "Mean") or (mean and not view.is_float32(node.input[0])):
        return None
    if len(node.input) == 1:
        return [onnx.helper.make_node("Identity", list(node.input), list(node.output), name=node.name)]
    made, last = [], node.input[0]
    for name in node.input[1:]:
        pair = view.fresh("pair")
        made.append(onnx.helper.make_node(_PAIRS[node.op_type], [last, name], [pair]))
        last = pair
    if mean:
        count = view.add_constant("count", np.array(len(node.input), np.float32))
        made.append(onnx.helper.make_node("Div", [last, count], list(node.output), name=node.name))
    else:
        made[-1].output[0] = node.output[0]
        made[-1].name = node.name
    return made
