"""ONNX graph passes that put what a target cannot read into words that it can. One per file.

Each is a function from a model to a model that computes the same: `prepare` runs and compares every
result. A pass changes only the nodes it was written for and returns the model unchanged if there are none.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import onnx

Rewrite = Callable[["onnx.ModelProto"], "onnx.ModelProto"]


def get(name: str) -> Rewrite:
    """The rewrite in the module `name` of this folder."""
    return cast(Rewrite, import_module(f"{__name__}.{name}").apply)
