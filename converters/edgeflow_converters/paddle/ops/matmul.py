"""Products of matrices. With constant weights they are `mul`: only there does Paddle Lite widen int8."""

from __future__ import annotations

from edgeflow_converters.paddle.graph import Graph, Node, Write


def gemm(graph: Graph, node: Node) -> None:
    import numpy as np

    if node.whole("transA", 0):
        raise node.declined("its first matrix is transposed")
    weights = graph.constant(node, 1)
    weights = weights.T if node.whole("transB", 0) else weights
    weights = weights * np.float32(node.number("alpha", 1.0))
    shape = graph.shape(node, node.outputs[0])
    if not node.has(2):
        _mul(graph, graph.read(node, 0), weights, 1, graph.write(node))
        return
    bias = graph.constant(node, 2) * np.float32(node.number("beta", 1.0))
    if bias.size not in (1, shape[1]) or (bias.ndim == 2 and bias.shape[0] != 1):
        raise node.declined("what it adds is other than one row")
    product = _mul(graph, graph.read(node, 0), weights, 1, graph.temporary(shape))
    row = graph.program.parameter(np.broadcast_to(bias.reshape(-1), (shape[1],)))
    graph.program.operation(
        "elementwise_add", {"X": [product], "Y": [row]}, {"Out": [graph.write(node)]}, axis=1
    )


def matmul(graph: Graph, node: Node) -> None:
    shape = graph.shape(node, node.inputs[0])
    if graph.is_constant(node, 1) and graph.constant(node, 1).ndim == 2 and len(shape) > 1:
        weights = graph.constant(node, 1)
        _mul(graph, graph.read(node, 0), weights, len(shape) - 1, graph.write(node))
        return
    if len(shape) < 2 or len(graph.shape(node, node.inputs[1])) < 2:
        raise node.declined("one of its matrices is a vector")
    inputs = {"X": [graph.read(node, 0)], "Y": [graph.read(node, 1)]}
    outputs = {"Out": [graph.write(node)]}
    graph.program.operation("matmul_v2", inputs, outputs, trans_x=False, trans_y=False)


def _mul(graph: Graph, source: str, weights: object, rows: int, made: str) -> str:
    parameter = graph.program.parameter(weights)  # type: ignore[arg-type]
    graph.program.operation(
        "mul", {"X": [source], "Y": [parameter]}, {"Out": [made]}, x_num_col_dims=rows, y_num_col_dims=1
    )
    return made


WRITERS: dict[str, Write] = {"Gemm": gemm, "MatMul": matmul}
