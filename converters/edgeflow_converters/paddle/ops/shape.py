"""The same elements in another shape, order or type."""

from __future__ import annotations

from edgeflow_converters.paddle import wire
from edgeflow_converters.paddle.graph import Graph, Node, Write


def reshape(graph: Graph, node: Node) -> None:
    """Reshape, Flatten, Squeeze and Unsqueeze: shapes are fixed, so the result's is all that counts."""
    shape = graph.shape(node, node.outputs[0])
    if not shape:
        raise node.declined("its result is a number without axes, which Paddle 2.x does not have")
    source = graph.read(node, 0)
    graph.reshaped(source, shape, graph.write(node))


def same(graph: Graph, node: Node) -> None:
    """Identity, and Dropout, which is that where nothing is trained."""
    if len(node.outputs) > 1 and node.outputs[1]:
        raise node.declined("it also tells what was dropped")
    graph.names[node.outputs[0]] = graph.read(node, 0)


def transpose(graph: Graph, node: Node) -> None:
    shape = graph.shape(node, node.inputs[0])
    order = node.list("perm", list(range(len(shape)))[::-1])
    source = graph.read(node, 0)
    outputs = {"Out": [graph.write(node)], "XShape": [graph.temporary((0, *shape))]}
    graph.program.operation("transpose2", {"X": [source]}, outputs, axis=order)


def cast(graph: Graph, node: Node) -> None:
    source, wanted = graph.dtypes.get(node.inputs[0], ""), graph.dtypes.get(node.outputs[0], "")
    if source == wanted:
        same(graph, node)
        return
    if source not in wire.DTYPES or wanted not in wire.DTYPES:
        raise node.declined(f"it turns {source} into {wanted}")
    graph.one_to_one(node, "cast", in_dtype=wire.DTYPES[source], out_dtype=wire.DTYPES[wanted])


def expand(graph: Graph, node: Node) -> None:
    graph.one_to_one(node, "expand_v2", shape=list(graph.shape(node, node.outputs[0])))


def depth_to_space(graph: Graph, node: Node) -> None:
    """By reshaping and transposing: Paddle's pixel_shuffle is one of the two modes only."""
    batch, channels, height, width = graph.shape(node, node.inputs[0])
    size = node.whole("blocksize", 1)
    left = channels // (size * size)
    if node.text("mode", "DCR") == "CRD":
        split, order = (batch * left, size, size, height, width), [0, 3, 1, 4, 2]
    else:
        split, order = (batch, size, size, left, height * width), [0, 3, 1, 4, 2]
    if node.text("mode", "DCR") != "CRD":
        split, order = (batch * size, size, left, height, width), [0, 2, 3, 4, 1]
        if batch != 1:
            raise node.declined("its batch is other than 1")
        # (a, b, c, h, w) -> (c, h, a, w, b), in two steps: b behind w, then a behind h.
        source = graph.reshaped(graph.read(node, 0), split)
        moved = (size, left, height, width, size)
        first = _transposed(graph, source, split, order, moved)
        joined = graph.reshaped(first, (size, left, height, width * size))
        second = _transposed(
            graph,
            joined,
            (size, left, height, width * size),
            [1, 2, 0, 3],
            (left, height, size, width * size),
        )
        graph.reshaped(second, graph.shape(node, node.outputs[0]), graph.write(node))
        return
    source = graph.reshaped(graph.read(node, 0), split)
    made = _transposed(graph, source, split, order, (batch * left, height, size, width, size))
    graph.reshaped(made, graph.shape(node, node.outputs[0]), graph.write(node))


def _transposed(
    graph: Graph, source: str, shape: tuple[int, ...], order: list[int], result: tuple[int, ...]
) -> str:
    made = graph.temporary(result)
    outputs = {"Out": [made], "XShape": [graph.temporary((0, *shape))]}
    graph.program.operation("transpose2", {"X": [source]}, outputs, axis=order)
    return made


WRITERS: dict[str, Write] = {
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), reshape),
    "Identity": same,
    "Dropout": same,
    "Transpose": transpose,
    "Cast": cast,
    "Expand": expand,
    "DepthToSpace": depth_to_space,
}
