"""Normalizations: by statistics of training, of an image, and of a row."""

from __future__ import annotations

import math

from edgeflow_converters.paddle.read import Operation
from edgeflow_converters.sources.paddle.builder import Builder, Mirror
from edgeflow_converters.sources.paddle.windows import require_channels_first


def batch(builder: Builder, operation: Operation) -> None:
    require_channels_first(builder, operation, "data_layout")
    if not (operation.attributes.get("is_test") or operation.attributes.get("use_global_stats")):
        raise builder.declined(operation, "it is in training mode")
    inputs = [builder.read(operation, slot) for slot in ("X", "Scale", "Bias", "Mean", "Variance")]
    builder.write(operation, "Y", builder.node("BatchNormalization", *inputs, epsilon=_epsilon(operation)))


def instance(builder: Builder, operation: Operation) -> None:
    import numpy as np

    channels = builder.shape(operation, "X")[1]
    inputs = [builder.read(operation, "X")]
    for slot, value in (("Scale", 1.0), ("Bias", 0.0)):
        if builder.has(operation, slot):
            inputs.append(builder.read(operation, slot))
        elif channels > 0:
            inputs.append(builder.constant(np.full(channels, value, np.float32)))
        else:
            raise builder.declined(operation, "how many channels it has is open")
    made = builder.node("InstanceNormalization", *inputs, epsilon=_epsilon(operation))
    builder.write(operation, "Y", made)


def layer(builder: Builder, operation: Operation) -> None:
    """Paddle lists scale and bias in one row, ONNX in the shape of what is normalized."""
    import numpy as np

    shape = builder.shape(operation, "X")
    first = int(operation.attributes.get("begin_norm_axis", 1))
    tail = shape[first:]
    if min(tail) < 0:
        raise builder.declined(operation, "the size of what it normalizes is open")
    scale = builder.value(operation, "Scale") if builder.has(operation, "Scale") else np.ones(math.prod(tail))
    inputs = [builder.read(operation, "X"), builder.constant(scale.reshape(tail), dtype="float32")]
    if builder.has(operation, "Bias"):
        inputs.append(builder.constant(builder.value(operation, "Bias").reshape(tail), dtype="float32"))
    made = builder.node("LayerNormalization", *inputs, axis=first - len(shape), epsilon=_epsilon(operation))
    builder.write(operation, "Y", made)


def group(builder: Builder, operation: Operation) -> None:
    """By normalizing each group as an image of one channel."""
    require_channels_first(builder, operation, "data_layout")
    import numpy as np

    groups, rank = int(operation.attributes["groups"]), builder.rank(operation, "X")
    source = builder.read(operation, "X")
    joined = builder.node("Reshape", source, builder.constant([0, groups, -1], dtype="int64"))
    ones, zeros = (builder.constant(np.full(groups, value, np.float32)) for value in (1.0, 0.0))
    plain = builder.node("InstanceNormalization", joined, ones, zeros, epsilon=_epsilon(operation))
    made = builder.node("Reshape", plain, builder.node("Shape", source))
    for slot, kind in (("Scale", "Mul"), ("Bias", "Add")):
        if builder.has(operation, slot):
            value = builder.value(operation, slot).reshape(-1, *(1,) * (rank - 2))
            made = builder.node(kind, made, builder.constant(value))
    builder.write(operation, "Y", made)


def _epsilon(operation: Operation) -> float:
    return float(operation.attributes.get("epsilon", 1e-5))


MIRRORS: dict[str, Mirror] = {
    "batch_norm": batch,
    "instance_norm": instance,
    "layer_norm": layer,
    "group_norm": group,
}
