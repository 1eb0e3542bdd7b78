"""Reshape to [N, T, G, H, D] -> Transpose -> pick g = 0, 1, ..., without the five-axis tensor.

Attention exported with one projection for query, key and value reshapes it to [batch, time, 3, heads, size],
transposes with perm [2, 0, 3, 1, 4] and takes the three along the first axis. ncnn tensors have at most four
axes beside the batch. The same values are columns g*H*D ... (g+1)*H*D of the projection, reshaped to
[N, T, H, D] and transposed with [0, 2, 1, 3].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeflow_converters.rewrites.graph import GraphView, attributes, inferred_shapes

if TYPE_CHECKING:
    import onnx

_PERM = [2, 0, 3, 1, 4]


def apply(model: onnx.ModelProto) -> onnx.ModelProto:
    """Split every fused projection whose parts are taken one by one (Slice+Squeeze, or Gather)."""

    view = GraphView(model)
    transposes = [node for node in view.graph.node if node.op_type == "Transpose"]
    candidates = [node for node in transposes if attributes(node).get("perm") == _PERM]
    if not candidates:
        return model
    shapes = inferred_shapes(model)
    for transpose in candidates:
        reshape = view.producer.get(transpose.input[0])
        if reshape is None or reshape.op_type != "Reshape" or _is_shared(view, reshape.output[0]):
            continue
        source, split = shapes.get(reshape.input[0]), shapes.get(reshape.output[0])
        picks = _picks(view, transpose.output[0])
        if source is None or split is None or picks is None or transpose.output[0] in view.outputs:
            continue
        batch, time, groups, heads, size = split
        if source != (batch, time, groups * heads * size):
            continue
        nodes: list[onnx.NodeProto] = []
        dropped = [reshape, transpose]
        for index, old, result in picks:
            nodes.extend(
                _part(view, reshape.input[0], index * heads * size, (batch, time, heads, size), result)
            )
            dropped.extend(old)
        view.replace(dropped, nodes)
        return apply(model)  # the view is stale after an edit
    return model


def _part(
    view: GraphView, source: str, begin: int, shape: tuple[int, int, int, int], result: str
) -> list[onnx.NodeProto]:
    import numpy as np
    import onnx

    def constant(stem: str, *values: int) -> str:
        return view.add_constant(stem, np.array(values, np.int64))

    columns, split = view.fresh("head_columns"), view.fresh("head_split")
    end = begin + shape[2] * shape[3]
    bounds = [constant("head_begin", begin), constant("head_end", end), constant("head_axis", 2)]
    return [
        onnx.helper.make_node("Slice", [source, *bounds], [columns]),
        onnx.helper.make_node("Reshape", [columns, constant("head_shape", *shape)], [split]),
        onnx.helper.make_node("Transpose", [split], [result], perm=[0, 2, 1, 3]),
    ]


def _picks(view: GraphView, name: str) -> list[tuple[int, list[onnx.NodeProto], str]] | None:
    """(index along axis 0, the nodes that take it, the value they make) of every reader; None if another
    kind of node reads the tensor."""
    picks = []
    for reader in view.readers.get(name, []):
        if reader.op_type == "Gather" and attributes(reader).get("axis", 0) == 0:
            index = view.constant(reader.input[1])
            if index is None or index.ndim != 0:
                return None
            picks.append((int(index), [reader], reader.output[0]))
        elif reader.op_type == "Slice":
            pick = _slice_pick(view, reader)
            if pick is None:
                return None
            picks.append(pick)
        else:
            return None
    return picks or None


def _slice_pick(view: GraphView, node: onnx.NodeProto) -> tuple[int, list[onnx.NodeProto], str] | None:
    values = [view.constant(name) for name in node.input[1:] if name]
    if len(values) < 3 or any(value is None or value.size != 1 for value in values):
        return None
    begin, end, axis, *step = (int(value.item()) for value in values if value is not None)
    readers = view.readers.get(node.output[0], [])
    if axis != 0 or end != begin + 1 or begin < 0 or step not in ([], [1]) or len(readers) != 1:
        return None
    squeeze = readers[0]
    if squeeze.op_type != "Squeeze" or node.output[0] in view.outputs or len(squeeze.input) != 2:
        return None
    axes = view.constant(squeeze.input[1])
    if axes is None or axes.tolist() != [0]:
        return None
    return begin, [node, squeeze], squeeze.output[0]


def _is_shared(view: GraphView, name: str) -> bool:
    return len(view.readers.get(name, [])) != 1 or name in view.outputs
