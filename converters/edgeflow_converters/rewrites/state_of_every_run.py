"""LSTM that begins with a constant state, or with none -> one whose state is computed in every run.

LiteRT's LSTM layers keep their state from one run to the next, and onnx2tf leaves out a state that is
constant: the product is right once, and from then on goes on from the run before. A state that is computed is
set anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeflow_converters.rewrites.graph import GraphView, attributes, node_by_node

if TYPE_CHECKING:
    import onnx

_X, _R, _H, _C = 0, 2, 5, 6


def apply(model: onnx.ModelProto) -> onnx.ModelProto:
    """Give every LSTM in the default layout states that are zero, or its constants, by a way over its
    input."""
    return node_by_node(model, _computed)


def _computed(view: GraphView, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
    import numpy as np
    import onnx

    if node.op_type != "LSTM" or node.domain or attributes(node).get("layout", 0):
        return None
    recurrent = view.constant(node.input[_R])
    inputs = [*node.input, *[""] * (_C + 1 - len(node.input))]
    kept = [place for place in (_H, _C) if not inputs[place] or view.constant(inputs[place]) is not None]
    if recurrent is None or not kept:
        return None
    axes, starts, ends = (
        view.add_constant(f"lstm_{name}", np.array(value, np.int64))
        for name, value in (("axes", [0, 2]), ("starts", [0, 0]), ("ends", [1, 1]))
    )
    first, less, zero = (view.fresh(f"lstm_{name}") for name in ("first", "less", "zero"))
    make = onnx.helper.make_node
    nodes = [
        make("Slice", [node.input[_X], starts, ends, axes], [first]),
        # Nothing is less than itself, NaN included: zeros that nobody knows ahead.
        make("Less", [first, first], [less]),
        make("Cast", [less], [zero], to=onnx.helper.np_dtype_to_tensor_dtype(recurrent.dtype)),
    ]
    for place in kept:
        constant = inputs[place]
        if not constant:
            directions, _, hidden = recurrent.shape
            constant = view.add_constant("lstm_none", np.zeros((directions, 1, hidden), recurrent.dtype))
        inputs[place] = view.fresh("lstm_state")
        nodes.append(make("Add", [zero, constant], [inputs[place]]))
    lstm = make("LSTM", inputs, list(node.output), name=node.name)
    lstm.attribute.extend(node.attribute)
    return [*nodes, lstm]
