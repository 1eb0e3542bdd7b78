"""Normalizations: by statistics of training, of an image, of a row, and of neighbouring channels."""

from __future__ import annotations

import math

from edgeflow_converters.paddle.graph import Graph, Node, Write


def batch(graph: Graph, node: Node) -> None:
    if len([name for name in node.outputs if name]) > 1 or node.whole("training_mode", 0):
        raise node.declined("it is in training mode")
    scale, bias, mean, variance = (
        graph.program.parameter(graph.constant(node, place)) for place in range(1, 5)
    )
    channels = graph.program.shape(scale)
    graph.program.operation(
        "batch_norm",
        {
            "X": [graph.read(node, 0)],
            "Scale": [scale],
            "Bias": [bias],
            "Mean": [mean],
            "Variance": [variance],
        },
        {
            "Y": [graph.write(node)],
            "MeanOut": [mean],
            "VarianceOut": [variance],
            "SavedMean": [graph.temporary(channels)],
            "SavedVariance": [graph.temporary(channels)],
        },
        epsilon=node.number("epsilon", 1e-5),
        momentum=0.9,
        is_test=True,
        use_global_stats=True,
        data_layout="NCHW",
        trainable_statistics=False,
    )


def instance(graph: Graph, node: Node) -> None:
    shape = graph.shape(node, node.inputs[0])
    if len(shape) != 4:
        raise node.declined("it is over other than 2 axes")
    saved = (shape[0] * shape[1],)
    inputs = {
        "X": [graph.read(node, 0)],
        "Scale": [graph.program.parameter(graph.constant(node, 1))],
        "Bias": [graph.program.parameter(graph.constant(node, 2))],
    }
    outputs = {
        "Y": [graph.write(node)],
        "SavedMean": [graph.temporary(saved)],
        "SavedVariance": [graph.temporary(saved)],
    }
    graph.program.operation("instance_norm", inputs, outputs, epsilon=node.number("epsilon", 1e-5))


def layer(graph: Graph, node: Node) -> None:
    import numpy as np

    shape = graph.shape(node, node.inputs[0])
    first = node.whole("axis", -1) % len(shape)
    size = math.prod(shape[first:])
    if len([name for name in node.outputs if name]) > 1:
        raise node.declined("it also tells the mean")
    scale = graph.constant(node, 1)
    bias = graph.constant(node, 2) if node.has(2) else np.zeros(size, np.float32)
    inputs = {
        "X": [graph.read(node, 0)],
        "Scale": [graph.program.parameter(np.broadcast_to(scale, shape[first:]).reshape(size))],
        "Bias": [graph.program.parameter(np.broadcast_to(bias, shape[first:]).reshape(size))],
    }
    rows = (math.prod(shape[:first]),)
    outputs = {
        "Y": [graph.write(node)],
        "Mean": [graph.temporary(rows)],
        "Variance": [graph.temporary(rows)],
    }
    graph.program.operation(
        "layer_norm", inputs, outputs, epsilon=node.number("epsilon", 1e-5), begin_norm_axis=first
    )


def neighbours(graph: Graph, node: Node) -> None:
    """LRN: the squares of neighbouring channels are summed by a convolution of one pixel."""
    import numpy as np

    shape = graph.shape(node, node.inputs[0])
    if len(shape) != 4:
        raise node.declined("it is over other than 2 axes")
    size, channels = node.whole("size", 1), shape[1]
    before = (size - 1) // 2
    band = np.zeros((channels, channels, 1, 1), np.float32)
    for channel in range(channels):
        low, high = max(0, channel - before), min(channels, channel - before + size)
        band[channel, low:high] = node.number("alpha", 1e-4) / size
    source = graph.read(node, 0)
    squared, summed, shifted, raised = (graph.temporary(shape) for _ in range(4))
    write = graph.program.operation
    write("square", {"X": [source]}, {"Out": [squared]})
    write(
        "conv2d",
        {"Input": [squared], "Filter": [graph.program.parameter(band)]},
        {"Output": [summed]},
        strides=[1, 1],
        paddings=[0, 0, 0, 0],
        padding_algorithm="EXPLICIT",
        dilations=[1, 1],
        groups=1,
        data_format="NCHW",
    )
    write(
        "scale",
        {"X": [summed]},
        {"Out": [shifted]},
        scale=1.0,
        bias=node.number("bias", 1.0),
        bias_after_scale=True,
    )
    # Its base is positive: for a negative one x86 computes rubbish.
    write("pow", {"X": [shifted]}, {"Out": [raised]}, factor=-node.number("beta", 0.75))
    write("elementwise_mul", {"X": [source], "Y": [raised]}, {"Out": [graph.write(node)]}, axis=-1)


WRITERS: dict[str, Write] = {
    "BatchNormalization": batch,
    "InstanceNormalization": instance,
    "LayerNormalization": layer,
    "LRN": neighbours,
}
