"""The families of operators: each module's WRITERS lead from ONNX's operators to their functions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType

from edgeflow_converters.errors import UnsupportedModel
from edgeflow_converters.paddle.graph import Node, Write

_FAMILIES = (
    "activation", "conv", "elementwise", "matmul", "norm", "pool", "reduce", "resize", "shape", "slices",
    "softmax",
)  # fmt: skip


@cache
def writers() -> Mapping[str, Write]:
    """ONNX's operators that can be written."""
    found: dict[str, Write] = {}
    for family in _FAMILIES:
        found.update(import_module(f"{__name__}.{family}").WRITERS)
    return MappingProxyType(found)


def writer_of(node: Node) -> Write:
    """The function that writes `node`. Raises UnsupportedModel with its operator and name."""
    found = writers().get(node.kind)
    if found is None:
        raise UnsupportedModel(
            f"paddlelite cannot take {node.kind} {node.name or node.outputs[0]!r}: edgeflow writes no such "
            "operation for Paddle Lite",
            hint="change the model's code there, or use another runtime",
        )
    return found
