"""A normalization whose scale or bias is computed, or that gives its statistics too -> arithmetic.

Runtimes hold scale and bias of their normalizations as weights: pnnx leaves layers that ncnn has not,
mnnconvert dies of a missing gamma, onnx2tf lacks the operators.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeflow_converters.rewrites.graph import GraphView
from edgeflow_converters.rewrites.norm_writer import write_out

if TYPE_CHECKING:
    import onnx


def apply(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write out every such node whose input has a known shape."""
    return write_out(model, _computed)


def _computed(view: GraphView, node: onnx.NodeProto) -> bool:
    constant = all(view.constant(name) is not None for name in node.input[1:] if name)
    return not constant or sum(bool(name) for name in node.output) > 1
