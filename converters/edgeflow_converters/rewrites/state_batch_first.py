"""Picking from, and stacking along, an axis that stands before the batch axis: moved behind it.

Recurrent states are [layers or h/c, batch, features]. ncnn tensors have no batch axis, and pnnx takes the
first axis for it wherever it can: it then drops `layers`, or joins along a batch that does not exist (and
for picks it emits torch.unbind, which ncnn does not have). With batch 1, the same values are

    Gather(x, i, axis 0)   = Reshape(Slice(Transpose(x), i, axis 1))
    Concat(a, b, axis 0)   = Transpose(Concat(Transpose(a), Transpose(b), axis 1))   for a, b: [1, 1, ...]

The transposes move the batch alone, so nothing is left of them in ncnn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeflow_converters.rewrites.graph import GraphView, attributes, inferred_shapes

if TYPE_CHECKING:
    import onnx


def apply(model: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrite every such Gather of a constant scalar index and every such Concat."""
    view = GraphView(model)
    candidates = [node for node in view.graph.node if node.op_type in ("Gather", "Concat")]
    if not candidates:
        return model
    shapes = inferred_shapes(model)
    for node in candidates:
        rewrite = _picked if node.op_type == "Gather" else _stacked
        nodes = rewrite(view, node, shapes)
        if nodes is not None:
            view.replace([node], nodes)
            return apply(model)  # the view is stale after an edit
    return model


def _picked(
    view: GraphView, node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]
) -> list[onnx.NodeProto] | None:
    import numpy as np
    import onnx

    source = node.input[0]
    index, shape = view.constant(node.input[1]), shapes.get(source, ())
    if index is None or index.ndim != 0 or attributes(node).get("axis", 0) != 0:
        return None
    if len(shape) < 3 or shape[0] < 2 or shape[1] != 1:
        return None
    begin = int(index) % shape[0]
    bounds = [
        view.add_constant(f"state_{what}", np.array([value], np.int64))
        for what, value in (("begin", begin), ("end", begin + 1), ("axis", 1))
    ]
    rest = view.add_constant("state_shape", np.array(shape[1:], np.int64))
    moved, one = view.fresh("state_moved"), view.fresh("state_one")
    return [
        onnx.helper.make_node("Transpose", [source], [moved], perm=_swapped(len(shape))),
        onnx.helper.make_node("Slice", [moved, *bounds], [one]),
        onnx.helper.make_node("Reshape", [one, rest], list(node.output)),
    ]


def _stacked(
    view: GraphView, node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]
) -> list[onnx.NodeProto] | None:
    import onnx

    parts = [shapes.get(name, ()) for name in node.input]
    if attributes(node)["axis"] != 0 or len(parts) < 2:
        return None
    if any(len(part) < 3 or part[:2] != (1, 1) for part in parts):
        return None
    swapped = _swapped(len(parts[0]))
    moved, joined = [view.fresh("state_moved") for _ in parts], view.fresh("state_joined")
    return [
        *(
            onnx.helper.make_node("Transpose", [part], [name], perm=swapped)
            for part, name in zip(node.input, moved, strict=True)
        ),
        onnx.helper.make_node("Concat", moved, [joined], axis=1),
        onnx.helper.make_node("Transpose", [joined], list(node.output), perm=swapped),
    ]


def _swapped(rank: int) -> list[int]:
    return [1, 0, *range(2, rank)]
