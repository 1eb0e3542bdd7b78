"""ReduceSum over one axis -> ReduceMean over it, times its length.

Since opset 13 the axes of ReduceSum are an input. pnnx 20261020 reads a single one as a number and drops it:
ncnn then sums nothing. ReduceMean still has them as an attribute in opset 17.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeflow_converters.inspect import standard_opset
from edgeflow_converters.rewrites.graph import GraphView, attributes, mean_over, node_by_node

if TYPE_CHECKING:
    import onnx


def apply(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace such sums of floats of known shape; needs opset >= 13."""
    opset = standard_opset(model)

    def rule(view: GraphView, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        return _as_mean(view, node, opset)

    return node_by_node(model, rule)


def _as_mean(view: GraphView, node: onnx.NodeProto, opset: int) -> list[onnx.NodeProto] | None:
    import numpy as np
    import onnx

    if node.op_type != "ReduceSum" or node.domain or len(node.input) < 2:
        return None
    axes, shape = view.constant(node.input[1]), view.shapes.get(node.input[0])
    if axes is None or axes.size != 1 or shape is None or not view.is_float32(node.input[0]):
        return None
    axis = int(axes.reshape(())) % len(shape)
    mean = view.fresh("mean")
    length = view.add_constant("length", np.array(shape[axis], np.float32))
    keep = attributes(node).get("keepdims", 1)
    return [
        mean_over(view, node.input[0], [axis], mean, opset, keepdims=keep),
        onnx.helper.make_node("Mul", [mean, length], list(node.output), name=node.name),
    ]
