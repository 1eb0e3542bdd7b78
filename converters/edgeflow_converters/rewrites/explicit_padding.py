"""auto_pad SAME_UPPER / SAME_LOWER -> explicit pads.

pnnx reads SAME as symmetric padding of the total, so a window that needs one more row at the end gets one
at both: the shapes agree and every value is shifted, without a word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeflow_converters.rewrites.graph import attributes, inferred_shapes

if TYPE_CHECKING:
    import onnx

_OPS = ("Conv", "MaxPool", "AveragePool", "LpPool")


def apply(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace auto_pad by pads wherever the input's shape is known; needs pinned shapes."""
    import onnx

    affected = [node for node in model.graph.node if node.op_type in _OPS and _auto_pad(node) != "NOTSET"]
    if not affected:
        return model
    shapes = inferred_shapes(model)
    kernels = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for node in affected:
        shape = shapes.get(node.input[0])
        if shape is None:
            continue
        own = attributes(node)
        kernel = own.get("kernel_shape") or kernels.get(node.input[1], ())[2:]
        pads = explicit_pads(
            shape[2:],
            kernel,
            own.get("strides") or [1] * len(kernel),
            own.get("dilations") or [1] * len(kernel),
            _auto_pad(node),
        )
        kept = [a for a in node.attribute if a.name not in ("auto_pad", "pads")]
        del node.attribute[:]
        node.attribute.extend([*kept, onnx.helper.make_attribute("pads", pads)])
    return model


def explicit_pads(size: Any, kernel: Any, strides: Any, dilations: Any, auto_pad: str) -> list[int]:
    """ONNX pads (all begins, then all ends) that auto_pad stands for.

    Formula: ONNX operator documentation of Conv and MaxPool, attribute auto_pad:
    output = ceil(input / stride), pad = (output - 1) * stride + (kernel - 1) * dilation + 1 - input.
    """
    begins, ends = [], []
    for length, k, stride, dilation in zip(size, kernel, strides, dilations, strict=True):
        total = 0
        if auto_pad != "VALID":
            outputs = -(-length // stride)
            total = max(0, (outputs - 1) * stride + (k - 1) * dilation + 1 - length)
        small, large = total // 2, total - total // 2
        begins.append(large if auto_pad == "SAME_LOWER" else small)
        ends.append(small if auto_pad == "SAME_LOWER" else large)
    return [*begins, *ends]


def _auto_pad(node: onnx.NodeProto) -> str:
    return next((a.s.decode() for a in node.attribute if a.name == "auto_pad"), "NOTSET")
