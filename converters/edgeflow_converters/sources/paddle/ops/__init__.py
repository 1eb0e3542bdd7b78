"""The families of operators: each module's MIRRORS lead from Paddle's operators to their functions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType

from edgeflow_converters.paddle.read import Operation
from edgeflow_converters.sources.paddle.builder import Builder, Mirror

_FAMILIES = (
    "activation", "compare", "constant", "conv", "elementwise", "matmul", "norm", "pool", "reduce", "resize",
    "shape", "slices", "softmax",
)  # fmt: skip


@cache
def mirrors() -> Mapping[str, Mirror]:
    """Paddle's operators that can be mirrored."""
    found: dict[str, Mirror] = {}
    for family in _FAMILIES:
        found.update(import_module(f"{__name__}.{family}").MIRRORS)
    return MappingProxyType(found)


def mirror_of(builder: Builder, operation: Operation) -> Mirror:
    """The function that mirrors `operation`. Raises UnsupportedModel with its kind and name."""
    found = mirrors().get(operation.kind)
    if found is None:
        raise builder.declined(operation, "edgeflow reads no such operation")
    return found
