"""Less(a, b) -> Greater(b, a).

MNN 3.6.1 computes a Less of floats wrong where it is cast to numbers; a Greater it does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

_OPPOSITE = {"Less": "Greater", "LessOrEqual": "GreaterOrEqual"}


def apply(model: onnx.ModelProto) -> onnx.ModelProto:
    """Turn every such comparison of the main graph around."""
    for node in model.graph.node:
        if node.op_type in _OPPOSITE and not node.domain:
            node.op_type = _OPPOSITE[node.op_type]
            first, second = node.input
            node.input[0], node.input[1] = second, first
    return model
