"""RMSNormalization -> x / sqrt(mean(x * x) + epsilon) * scale, as its operator documentation defines it.

MNN and TensorFlow Lite lack it. A rewrite and no row of expand.py, since onnxsim makes the operator out of
its body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeflow_converters.rewrites.graph import GraphView, attributes, node_by_node

if TYPE_CHECKING:
    import onnx

DEFAULT_EPSILON = 1e-5  # operator documentation of RMSNormalization-23


def apply(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write out every RMSNormalization whose input's shape is known."""
    return node_by_node(model, _written)


def _written(view: GraphView, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
    import numpy as np
    import onnx

    if node.op_type != "RMSNormalization" or node.domain or node.input[0] not in view.shapes:
        return None
    own, rank = attributes(node), len(view.shapes[node.input[0]])
    axes = view.add_constant("axes", np.arange(own.get("axis", -1) % rank, rank))
    epsilon = view.add_constant("epsilon", np.array(own.get("epsilon", DEFAULT_EPSILON), np.float32))
    x, scale = node.input[:2]
    square, mean, shifted, root, unit = map(view.fresh, ("square", "mean", "shifted", "root", "unit"))
    return [
        onnx.helper.make_node("Mul", [x, x], [square]),
        onnx.helper.make_node("ReduceMean", [square, axes], [mean], keepdims=1),
        onnx.helper.make_node("Add", [mean, epsilon], [shifted]),
        onnx.helper.make_node("Sqrt", [shifted], [root]),
        onnx.helper.make_node("Div", [x, root], [unit]),
        onnx.helper.make_node("Mul", [unit, scale], list(node.output), name=node.name),
    ]
