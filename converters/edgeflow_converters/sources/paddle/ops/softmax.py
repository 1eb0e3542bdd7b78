"""Softmax along one axis, and its logarithm."""

from __future__ import annotations

from edgeflow_converters.paddle.read import Operation
from edgeflow_converters.sources.paddle.builder import Builder, Mirror

_KINDS = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}


def softmax(builder: Builder, operation: Operation) -> None:
    axis = int(operation.attributes.get("axis", -1))
    made = builder.node(_KINDS[operation.kind], builder.read(operation, "X"), axis=axis)
    builder.write(operation, "Out", made)


MIRRORS: dict[str, Mirror] = dict.fromkeys(_KINDS, softmax)
