"""Poolings over images, and over sequences as images of one line."""

from __future__ import annotations

from edgeflow_converters.paddle.graph import Graph, Node, Write
from edgeflow_converters.paddle.windows import padding


def window(graph: Graph, node: Node) -> None:
    """MaxPool and AveragePool."""
    kernel = node.list("kernel_shape", [])
    rank = len(kernel)
    if rank not in (1, 2):
        raise node.declined(f"it pools over {rank} axes, and Paddle Lite over 1 or 2")
    if len([name for name in node.outputs if name]) > 1:
        raise node.declined("it also tells where the largest elements were")
    if set(node.list("dilations", [1])) != {1}:
        raise node.declined("its window has holes (dilations)")
    shape, wanted = graph.shape(node, node.inputs[0]), graph.shape(node, node.outputs[0])
    strides = node.list("strides", [1] * rank)
    pads = padding(node, shape[2:], kernel, strides, [1] * rank)
    up = bool(node.whole("ceil_mode", 0))
    for axis in range(rank):
        span = shape[2 + axis] + sum(pads[2 * axis : 2 * axis + 2]) - kernel[axis]
        size = (span + (strides[axis] - 1 if up else 0)) // strides[axis] + 1
        if size != wanted[2 + axis]:
            raise node.declined("Paddle Lite rounds its output's size otherwise (ceil_mode)")
    counted = node.kind == "AveragePool" and bool(node.whole("count_include_pad", 0))
    if counted and up:
        raise node.declined("it counts padding and rounds its size up at once")
    source = graph.read(node, 0)
    if rank == 1:
        source = graph.reshaped(source, (*shape[:2], 1, shape[2]))
        kernel, strides, pads = [1, *kernel], [1, *strides], [0, 0, *pads]
    made = graph.temporary((*wanted[:2], 1, wanted[2])) if rank == 1 else graph.write(node)
    _pool2d(
        graph, node, source, made, kernel, strides=strides, paddings=pads, ceil_mode=up, exclusive=not counted
    )
    if rank == 1:
        graph.reshaped(made, wanted, graph.write(node))


def whole(graph: Graph, node: Node) -> None:
    """GlobalAveragePool and GlobalMaxPool."""
    shape = graph.shape(node, node.inputs[0])
    if len(shape) != 4:
        raise node.declined("it pools over other than 2 axes")
    _pool2d(graph, node, graph.read(node, 0), graph.write(node), [1, 1], whole=True)


def _pool2d(
    graph: Graph,
    node: Node,
    source: str,
    made: str,
    kernel: list[int],
    *,
    strides: list[int] | None = None,
    paddings: list[int] | None = None,
    ceil_mode: bool = False,
    exclusive: bool = True,
    whole: bool = False,
) -> None:
    graph.program.operation(
        "pool2d",
        {"X": [source]},
        {"Out": [made]},
        pooling_type="max" if "Max" in node.kind else "avg",
        ksize=kernel,
        strides=strides or [1, 1],
        paddings=paddings or [0, 0],
        padding_algorithm="EXPLICIT",
        ceil_mode=ceil_mode,
        exclusive=exclusive,
        global_pooling=whole,
        adaptive=False,
        data_format="NCHW",
    )


WRITERS: dict[str, Write] = {
    "MaxPool": window,
    "AveragePool": window,
    "GlobalAveragePool": whole,
    "GlobalMaxPool": whole,
}
