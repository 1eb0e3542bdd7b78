"""Pooling without strides -> strides of 1, which is what ONNX says they are.

MNN 3.6.1 takes strides that are not written for 0, and its runtime dies of a division by them (SIGFPE).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

_POOLS = frozenset({"AveragePool", "LpPool", "MaxPool"})


def apply(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write the strides of every pooling that has none."""
    import onnx

    for node in model.graph.node:
        own = {attribute.name: attribute for attribute in node.attribute}
        if node.op_type in _POOLS and not node.domain and "strides" not in own:
            ones = [1] * len(own["kernel_shape"].ints)
            node.attribute.append(onnx.helper.make_attribute("strides", ones))
    return model
