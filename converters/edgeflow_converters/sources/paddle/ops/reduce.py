"""Means, sums and extremes along axes."""

from __future__ import annotations

from edgeflow_converters.paddle.read import Operation
from edgeflow_converters.sources.paddle.builder import Builder, Mirror
from edgeflow_converters.sources.paddle.ops.constant import DTYPES

_KINDS = {
    "reduce_mean": "ReduceMean", "reduce_max": "ReduceMax", "reduce_min": "ReduceMin",
    "reduce_prod": "ReduceProd", "reduce_sum": "ReduceSum",
}  # fmt: skip


def reduce(builder: Builder, operation: Operation) -> None:
    attributes, source = operation.attributes, builder.read(operation, "X")
    rank = builder.rank(operation, "X")
    axes = [int(axis) % rank for axis in attributes.get("dim") or []]
    if attributes.get("reduce_all") or not axes:
        axes = list(range(rank))
    keep = int(bool(attributes.get("keep_dim")))
    # Where every axis goes, a program of Paddle 2.4 and older still has one, of one element.
    alone = not keep and len(axes) == rank and builder.rank(operation, "Out") == 1
    kind = _KINDS[operation.kind]
    if kind == "ReduceSum":  # in this opset the others have their axes as an attribute
        made = builder.node(kind, source, builder.constant(axes, dtype="int64"), keepdims=keep)
    else:
        made = builder.node(kind, source, axes=axes, keepdims=keep)
    if alone:
        made = builder.node("Reshape", made, builder.constant([1], dtype="int64"))
    builder.write(operation, "Out", made)


def largest(builder: Builder, operation: Operation) -> None:
    """arg_max and arg_min: of equal elements the first."""
    attributes, source = operation.attributes, builder.read(operation, "X")
    if attributes.get("flatten") or builder.has(operation, "AxisTensor"):
        raise builder.declined(operation, "it looks along all axes at once, or along a computed one")
    made = builder.node(
        "ArgMax" if operation.kind == "arg_max" else "ArgMin",
        source,
        axis=int(attributes.get("axis", -1)),
        keepdims=int(bool(attributes.get("keepdims"))),
    )
    if DTYPES.get(attributes.get("dtype", -1), "int64") == "int32":
        made = builder.node("Cast", made, to=6)  # TensorProto.INT32
    builder.write(operation, "Out", made)


def best(builder: Builder, operation: Operation) -> None:
    """top_k_v2: the largest or smallest, and where they are."""
    attributes = operation.attributes
    if builder.has(operation, "K"):
        raise builder.declined(operation, "how many it takes is computed")
    count = builder.constant([int(attributes["k"])], dtype="int64")
    values, places = builder.nodes(
        "TopK",
        [builder.read(operation, "X"), count],
        2,
        axis=int(attributes.get("axis", -1)),
        largest=int(bool(attributes.get("largest", True))),
        sorted=1,
    )
    builder.write(operation, "Out", values)
    builder.write(operation, "Indices", places)


MIRRORS: dict[str, Mirror] = {
    **dict.fromkeys(_KINDS, reduce),
    "arg_max": largest,
    "arg_min": largest,
    "top_k_v2": best,
}
