"""Arithmetic of two tensors. Paddle may say at which axis of the first the second begins."""

from __future__ import annotations

from edgeflow_converters.paddle.read import Operation
from edgeflow_converters.sources.paddle.builder import Builder, Mirror

_KINDS = {
    "elementwise_add": "Add", "elementwise_sub": "Sub", "elementwise_mul": "Mul", "elementwise_div": "Div",
    "elementwise_max": "Max", "elementwise_min": "Min", "elementwise_pow": "Pow",
}  # fmt: skip


def arithmetic(builder: Builder, operation: Operation) -> None:
    source, other = builder.read(operation, "X"), aligned(builder, operation)
    builder.write(operation, "Out", builder.node(_KINDS[operation.kind], source, other))


def summed(builder: Builder, operation: Operation) -> None:
    """`sum` of a list of tensors of one shape."""
    builder.write(operation, "Out", builder.node("Sum", *builder.all(operation, "X")))


def aligned(builder: Builder, operation: Operation) -> str:
    """The second tensor, with axes of one behind its own, so that it begins where `axis` says."""
    axis = int(operation.attributes.get("axis", -1))
    mine, its = builder.rank(operation, "X"), builder.rank(operation, "Y")
    behind = mine - axis - its
    if axis < 0 or behind <= 0:
        return builder.read(operation, "Y")
    known = builder.known(operation, "Y")
    if known is not None:
        return builder.constant(known.reshape(*known.shape, *(1,) * behind))
    axes = builder.constant([its + place for place in range(behind)], dtype="int64")
    return builder.node("Unsqueeze", builder.read(operation, "Y"), axes)


MIRRORS: dict[str, Mirror] = {**dict.fromkeys(_KINDS, arithmetic), "sum": summed}
