"""Softmax along one axis."""

from __future__ import annotations

from edgeflow_converters.paddle.graph import Graph, Node, Write


def softmax(graph: Graph, node: Node) -> None:
    """As of opset 13, to which every model is raised: before, it flattened what lies behind the axis."""
    rank = len(graph.shape(node, node.inputs[0]))
    graph.one_to_one(node, "softmax", axis=node.whole("axis", -1) % rank)


WRITERS: dict[str, Write] = {"Softmax": softmax}
