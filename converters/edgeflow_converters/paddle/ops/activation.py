"""Functions of one tensor, element by element."""

from __future__ import annotations

from edgeflow_converters.paddle.graph import Graph, Node, Write

_LARGEST = 3.4028234663852886e38

_PLAIN = {
    "Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Exp": "exp", "Log": "log", "Sqrt": "sqrt",
    "Abs": "abs", "Floor": "floor", "Reciprocal": "reciprocal", "Sin": "sin", "Cos": "cos", "Erf": "erf",
}  # fmt: skip


def plain(graph: Graph, node: Node) -> None:
    graph.one_to_one(node, _PLAIN[node.kind])


def leaky_relu(graph: Graph, node: Node) -> None:
    graph.one_to_one(node, "leaky_relu", alpha=node.number("alpha", 0.01))


def elu(graph: Graph, node: Node) -> None:
    graph.one_to_one(node, "elu", alpha=node.number("alpha", 1.0))


def hard_sigmoid(graph: Graph, node: Node) -> None:
    graph.one_to_one(node, "hard_sigmoid", slope=node.number("alpha", 0.2), offset=node.number("beta", 0.5))


def hard_swish(graph: Graph, node: Node) -> None:
    graph.one_to_one(node, "hard_swish", threshold=6.0, scale=6.0, offset=3.0)


def gelu(graph: Graph, node: Node) -> None:
    graph.one_to_one(node, "gelu", approximate=node.text("approximate", "none") == "tanh")


def softplus(graph: Graph, node: Node) -> None:
    graph.one_to_one(node, "softplus", beta=1.0, threshold=20.0)


def negated(graph: Graph, node: Node) -> None:
    graph.one_to_one(node, "scale", scale=-1.0, bias=0.0, bias_after_scale=True)


def clip(graph: Graph, node: Node) -> None:
    limits = [-_LARGEST, _LARGEST]
    for place in (0, 1):
        if node.has(place + 1):
            limits[place] = float(graph.constant(node, place + 1))
    low, high = limits
    if (low, high) == (0.0, 6.0):
        graph.one_to_one(node, "relu6", threshold=6.0)
    elif low == 0.0 and high >= _LARGEST:
        graph.one_to_one(node, "relu")
    else:
        graph.one_to_one(node, "clip", min=max(low, -_LARGEST), max=min(high, _LARGEST))


def prelu(graph: Graph, node: Node) -> None:
    import numpy as np

    shape, slope = graph.shape(node, node.inputs[0]), graph.constant(node, 1)
    channels = shape[1] if len(shape) > 1 else 0
    if slope.size == 1:
        graph.one_to_one(node, "leaky_relu", alpha=float(slope.reshape(())))
        return
    aligned = (1,) * (len(shape) - slope.ndim) + slope.shape
    if aligned != (1, channels, *(1,) * (len(shape) - 2)):
        raise node.declined("its slopes are other than one for each channel")
    if len(shape) == 4:
        source, alpha = graph.read(node, 0), graph.program.parameter(slope.reshape(channels))
        inputs = {"X": [source], "Alpha": [alpha]}
        graph.program.operation(
            "prelu", inputs, {"Out": [graph.write(node)]}, mode="channel", data_format="NCHW"
        )
        return
    # relu(x) - slope * relu(-x): the kernel takes images only.
    source = graph.read(node, 0)
    positive, turned, negative, scaled = (graph.temporary(shape) for _ in range(4))
    write = graph.program.operation
    write("relu", {"X": [source]}, {"Out": [positive]})
    write("scale", {"X": [source]}, {"Out": [turned]}, scale=-1.0, bias=0.0, bias_after_scale=True)
    write("relu", {"X": [turned]}, {"Out": [negative]})
    weights = graph.program.parameter(-slope.reshape(channels).astype(np.float32))
    write("elementwise_mul", {"X": [negative], "Y": [weights]}, {"Out": [scaled]}, axis=1)
    write("elementwise_add", {"X": [positive], "Y": [scaled]}, {"Out": [graph.write(node)]}, axis=-1)


WRITERS: dict[str, Write] = {
    **dict.fromkeys(_PLAIN, plain),
    "LeakyRelu": leaky_relu,
    "Elu": elu,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": hard_swish,
    "Gelu": gelu,
    "Softplus": softplus,
    "Neg": negated,
    "Clip": clip,
    "PRelu": prelu,
}
