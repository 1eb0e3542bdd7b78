"""AveragePool that counts its padding and lets its last window hang over the edge -> Pad, then AveragePool
without.

With ceil_mode and count_include_pad, ONNX divides by what of a window lies inside the padded input (operator
documentation of AveragePool-19). ncnn and onnx2tf divide by another number there. Once the padding is part of
the input, what hangs over is all that is left to leave out, which they do right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeflow_converters.rewrites.graph import GraphView, attributes, node_by_node

if TYPE_CHECKING:
    import onnx


def apply(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace such nodes with explicit padding; needs opset >= 11, where Pad's widths are an input."""
    return node_by_node(model, _padded)


def _padded(view: GraphView, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
    import numpy as np
    import onnx

    own = attributes(node) if node.op_type == "AveragePool" and not node.domain else {}
    pads = list(own.get("pads", ()))
    if not (own.get("ceil_mode") and own.get("count_include_pad") and any(pads)):
        return None
    half = len(pads) // 2
    widths = view.add_constant("pads", np.array([0, 0, *pads[:half], 0, 0, *pads[half:]], np.int64))
    zero = view.add_constant("zero", np.zeros((), np.float32))
    padded = view.fresh("average_pool_padded")
    kept = {name: own[name] for name in ("kernel_shape", "strides", "dilations", "ceil_mode") if name in own}
    return [
        onnx.helper.make_node("Pad", [node.input[0], widths, zero], [padded], mode="constant"),
        onnx.helper.make_node("AveragePool", [padded], list(node.output), name=node.name, **kept),
    ]
