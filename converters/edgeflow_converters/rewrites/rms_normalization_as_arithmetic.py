"""RMSNormalization -> x / sqrt(mean(x * x) + epsilon) * scale.

MNN and TensorFlow Lite lack it. A rewrite and no row of expand.py, since onnxsim makes the operator out of
its body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeflow_converters.rewrites.norm_writer import write_out

if TYPE_CHECKING:
    import onnx


def apply(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write out every RMSNormalization whose input's shape is known."""
    return write_out(model, lambda _, node: node.op_type == "RMSNormalization")
