"""Concat of a value with a constant block of one number along the channels -> Pad.

Exporters write zero-padding of channels as Concat with a block of zeros. onnx2tf turns the one into
channels-last and leaves the other, and its output then refers to a tensor that nothing computes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeflow_converters.rewrites.graph import GraphView, attributes

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

_MIN_RANK = 3


def apply(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace Concat(x, c) and Concat(c, x) by Pad where c holds one number throughout; needs opset >= 11."""
    view = GraphView(model)
    while (found := next((n for n in view.graph.node if _block(n, view) is not None), None)) is not None:
        _replace(found, view)
        view = GraphView(model)
    return model


def _block(node: onnx.NodeProto, view: GraphView) -> tuple[int, NDArray[Any]] | None:
    """The constant input of a Concat that can be replaced, and its position."""
    if node.op_type != "Concat" or len(node.input) != 2:
        return None
    found = [(index, view.constant(name)) for index, name in enumerate(node.input)]
    constants = [(index, block) for index, block in found if block is not None]
    if len(constants) != 1:
        return None
    index, block = constants[0]
    if block.ndim < _MIN_RANK or block.dtype != "float32" or not block.size or block.min() != block.max():
        return None
    return index, block


def _replace(node: onnx.NodeProto, view: GraphView) -> None:
    import numpy as np
    import onnx

    found = _block(node, view)
    assert found is not None
    position, block = found
    rank, axis = block.ndim, attributes(node)["axis"] % block.ndim
    pads = np.zeros(2 * rank, np.int64)
    pads[axis if position == 0 else rank + axis] = block.shape[axis]
    names = [node.input[1 - position], view.add_constant("pads", pads)]
    names.append(view.add_constant("padding", np.array(block.flat[0])))
    view.replace([node], [onnx.helper.make_node("Pad", names, list(node.output), name=node.name)])
