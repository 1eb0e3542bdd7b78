"""Means, sums and extremes along axes."""

from __future__ import annotations

from edgeflow_converters.paddle import wire
from edgeflow_converters.paddle.graph import Graph, Node, Write

_KINDS = {
    "ReduceMean": "reduce_mean",
    "ReduceSum": "reduce_sum",
    "ReduceMax": "reduce_max",
    "ReduceMin": "reduce_min",
}


def reduce(graph: Graph, node: Node) -> None:
    shape = graph.shape(node, node.inputs[0])
    axes = graph.constant(node, 1).tolist() if node.has(1) else node.list("axes", [])
    if not axes and node.whole("noop_with_empty_axes", 0):
        graph.names[node.outputs[0]] = graph.read(node, 0)
        return
    axes = sorted(axis % len(shape) for axis in axes) or list(range(len(shape)))
    keeps = bool(node.whole("keepdims", 1))
    if not keeps and len(axes) == len(shape):
        raise node.declined("its result is a number without axes, which Paddle 2.x does not have")
    # Kept axes first: that is the shape in which every kernel agrees with its own shape inference.
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    source = graph.read(node, 0)
    made = graph.write(node) if keeps else graph.temporary(kept)
    graph.program.operation(
        _KINDS[node.kind], {"X": [source]}, {"Out": [made]}, dim=axes, keep_dim=True, reduce_all=False
    )
    if not keeps:
        graph.reshaped(made, graph.shape(node, node.outputs[0]), graph.write(node))


def largest(graph: Graph, node: Node) -> None:
    """ArgMax; of equal elements the first."""
    if node.whole("select_last_index", 0):
        raise node.declined("it takes the last of equal elements")
    rank = len(graph.shape(node, node.inputs[0]))
    graph.one_to_one(
        node,
        "arg_max",
        axis=wire.Long(node.whole("axis", 0) % rank),
        keepdims=bool(node.whole("keepdims", 1)),
        flatten=False,
        dtype=wire.DTYPES["int64"],
    )


WRITERS: dict[str, Write] = {**dict.fromkeys(_KINDS, reduce), "ArgMax": largest}
