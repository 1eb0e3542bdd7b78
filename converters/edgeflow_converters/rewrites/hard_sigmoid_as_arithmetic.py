"""HardSigmoid -> Clip(x * alpha + beta, 0, 1).

Qualcomm's HTP emulator prepares HardSigmoid in half precision alone: a float32 graph with it cannot be
executed there, and so not be verified. The definition is the ONNX operator documentation's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeflow_converters.rewrites.graph import GraphView, attributes, inferred_types

if TYPE_CHECKING:
    import onnx

_ALPHA, _BETA = 0.2, 0.5  # ONNX's defaults


def apply(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace every HardSigmoid of a float32 tensor; needs opset >= 11, where Clip's limits are inputs."""
    import numpy as np
    import onnx

    view = GraphView(model)
    types = inferred_types(model)
    for node in view.graph.node:
        name = node.input[0] if node.input else ""
        if node.op_type != "HardSigmoid" or name not in types:
            continue
        if types[name].elem_type != onnx.TensorProto.FLOAT:
            continue
        own = attributes(node)
        numbers = (own.get("alpha", _ALPHA), own.get("beta", _BETA), 0.0, 1.0)
        alpha, beta, low, high = (
            view.add_constant("hard_sigmoid", np.array(number, np.float32)) for number in numbers
        )
        scaled, moved = view.fresh("hard_sigmoid_scaled"), view.fresh("hard_sigmoid_moved")
        nodes = [
            onnx.helper.make_node("Mul", [name, alpha], [scaled]),
            onnx.helper.make_node("Add", [scaled, beta], [moved]),
            onnx.helper.make_node("Clip", [moved, low, high], list(node.output)),
        ]
        view.replace([node], nodes)
        return apply(model)  # the view is stale after an edit
    return model
