"""Cast(Equal(a, b)) to float -> 1 - ceil(min(|a - b|, 1)).

ncnn has no comparison. The arithmetic form is exact for finite floats: a - b is 0 only for equal a and b
(IEEE 754 with gradual underflow). It is how max-pool non-maximum suppression, heat * (heat == pool(heat)),
reaches a runtime without booleans.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeflow_converters.rewrites.graph import GraphView, attributes, inferred_types

if TYPE_CHECKING:
    import onnx


def apply(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace Equal of float32 tensors where every reader is a Cast to float32; needs opset >= 13."""
    import numpy as np
    import onnx

    view = GraphView(model)
    equals = [node for node in view.graph.node if node.op_type == "Equal"]
    if not equals:
        return model
    types = inferred_types(model)
    one = ""
    for equal in equals:
        casts = view.readers.get(equal.output[0], [])
        floats = all(
            name in types and types[name].elem_type == onnx.TensorProto.FLOAT for name in equal.input
        )
        if not floats or equal.output[0] in view.outputs or not casts or not all(_to_float(c) for c in casts):
            continue
        one = one or view.add_constant("equal_one", np.ones((), np.float32))
        names = [view.fresh(f"equal_{step}") for step in ("difference", "distance", "limited", "unequal")]
        difference, distance, limited, unequal = names
        nodes = [
            onnx.helper.make_node("Sub", list(equal.input), [difference]),
            onnx.helper.make_node("Abs", [difference], [distance]),
            onnx.helper.make_node("Min", [distance, one], [limited]),
            onnx.helper.make_node("Ceil", [limited], [unequal]),
            *(onnx.helper.make_node("Sub", [one, unequal], [cast.output[0]]) for cast in casts),
        ]
        view.replace([equal, *casts], nodes)
        return apply(model)  # the view is stale after an edit
    return model


def _to_float(node: onnx.NodeProto) -> bool:
    import onnx

    return node.op_type == "Cast" and attributes(node)["to"] == onnx.TensorProto.FLOAT
