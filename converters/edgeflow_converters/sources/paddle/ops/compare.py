"""Comparisons, logic, and choosing by them."""

from __future__ import annotations

from edgeflow_converters.paddle.read import Operation
from edgeflow_converters.sources.paddle.builder import Builder, Mirror
from edgeflow_converters.sources.paddle.ops.elementwise import aligned

_KINDS = {
    "equal": "Equal", "less_than": "Less", "less_equal": "LessOrEqual", "greater_than": "Greater",
    "greater_equal": "GreaterOrEqual", "logical_and": "And", "logical_or": "Or", "logical_xor": "Xor",
}  # fmt: skip


def compared(builder: Builder, operation: Operation) -> None:
    source, other = builder.read(operation, "X"), aligned(builder, operation)
    builder.write(operation, "Out", builder.node(_KINDS[operation.kind], source, other))


def different(builder: Builder, operation: Operation) -> None:
    same = builder.node("Equal", builder.read(operation, "X"), aligned(builder, operation))
    builder.write(operation, "Out", builder.node("Not", same))


def chosen(builder: Builder, operation: Operation) -> None:
    inputs = [builder.read(operation, slot) for slot in ("Condition", "X", "Y")]
    builder.write(operation, "Out", builder.node("Where", *inputs))


MIRRORS: dict[str, Mirror] = {**dict.fromkeys(_KINDS, compared), "not_equal": different, "where": chosen}
