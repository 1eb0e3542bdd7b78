"""LSTM over one time step with given states -> the arithmetic of its cell.

A streaming model carries its state in and out and sees one step at a time. pnnx passes the weights of such
an LSTM as blobs, and ncnn refuses the layer. Equations: ONNX operator documentation of LSTM (gates in the
order i, o, f, c; activations sigmoid, tanh, tanh):

    i, o, f, g = X W^T + H R^T + Wb + Rb      C' = sigmoid(f) * C + sigmoid(i) * tanh(g)
    H' = sigmoid(o) * tanh(C')
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeflow_converters.rewrites.graph import GraphView, attributes, inferred_shapes

if TYPE_CHECKING:
    import onnx

_X, _W, _R, _B, _LENGTHS, _H, _C, _PEEPHOLES = range(8)


def apply(model: onnx.ModelProto) -> onnx.ModelProto:
    """Expand every plain forward LSTM of one step whose weights are constants and states are inputs."""
    view = GraphView(model)
    cells = [node for node in view.graph.node if node.op_type == "LSTM"]
    if not cells:
        return model
    shapes = inferred_shapes(model)
    for node in cells:
        if _is_plain(node) and shapes.get(node.input[_X], ())[:2] == (1, 1):
            expanded = _expanded(view, node)
            if expanded is not None:
                view.replace([node], expanded)
                return apply(model)  # the view is stale after an edit
    return model


def _is_plain(node: onnx.NodeProto) -> bool:
    own = attributes(node)
    inputs = [*node.input, *[""] * (8 - len(node.input))]
    changed = {"activations", "activation_alpha", "activation_beta", "clip", "input_forget", "layout"}
    return (
        own.get("direction", b"forward") == b"forward"
        and not any(own.get(name) for name in changed)
        and bool(inputs[_H] and inputs[_C])
        and not (inputs[_LENGTHS] or inputs[_PEEPHOLES])
    )


def _expanded(view: GraphView, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
    import numpy as np
    import onnx

    weights, recurrent = view.constant(node.input[_W]), view.constant(node.input[_R])
    biases = view.constant(node.input[_B]) if node.input[_B] else None
    if weights is None or recurrent is None or (node.input[_B] and biases is None):
        return None
    hidden = int(recurrent.shape[-1])
    bias = np.zeros(4 * hidden, weights.dtype)
    if biases is not None:
        bias = biases[0, : 4 * hidden] + biases[0, 4 * hidden :]
    nodes: list[onnx.NodeProto] = []

    def add(op: str, *inputs: str, to: str = "", **own: Any) -> str:
        result = to or view.fresh(f"lstm_{op.lower()}")
        nodes.append(onnx.helper.make_node(op, list(inputs), [result], **own))
        return result

    first = view.add_constant("lstm_axis", np.array([0], np.int64))
    first_two = view.add_constant("lstm_axes", np.array([0, 1], np.int64))
    x = add("Squeeze", node.input[_X], first)
    h = add("Squeeze", node.input[_H], first)
    c = add("Squeeze", node.input[_C], first)
    from_input = add(
        "Gemm", x, view.add_constant("lstm_w", weights[0]), view.add_constant("lstm_b", bias), transB=1
    )
    no_bias = view.add_constant("lstm_no_b", np.zeros(4 * hidden, weights.dtype))
    from_state = add("Gemm", h, view.add_constant("lstm_r", recurrent[0]), no_bias, transB=1)
    gates = add("Add", from_input, from_state)
    parts = [view.fresh("lstm_gate") for _ in range(4)]
    sizes = view.add_constant("lstm_sizes", np.array([hidden] * 4, np.int64))
    nodes.append(onnx.helper.make_node("Split", [gates, sizes], parts, axis=1))
    i, o, f = (add("Sigmoid", part) for part in parts[:3])
    g = add("Tanh", parts[3])
    cell = add("Add", add("Mul", f, c), add("Mul", i, g))
    state = add("Mul", o, add("Tanh", cell))
    results = [*node.output, "", ""][:3]
    values = ((state, first_two), (state, first), (cell, first))
    for name, (value, axes) in zip(results, values, strict=True):
        if name:
            add("Unsqueeze", value, axes, to=name)
    return nodes
