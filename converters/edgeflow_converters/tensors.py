"""Tensors as the source model has them and as a runtime wants them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Tensors = Mapping[str, NDArray[Any]]
    """ONNX tensor name -> array, in the model's own layout."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output: how the source model names it, and how the runtime wants it.

    `shape` and `name` are the source model's. The runtime's tensor is
    `array.transpose(perm).reshape(runtime_shape)`; outputs go the other way. `perm` is None where the runtime
    keeps the source's axis order. `dtype` is the runtime's; `source_dtype` is the source model's where that
    is another one: outputs come back in it.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    runtime_name: str
    runtime_shape: tuple[int, ...]
    perm: tuple[int, ...] | None = None
    source_dtype: str | None = None

    def __post_init__(self) -> None:
        if math.prod(self.shape) != math.prod(self.runtime_shape):
            raise ValueError(f"{self.name}: {self.shape} and {self.runtime_shape} differ in size")

    def to_runtime(self, array: NDArray[Any]) -> NDArray[Any]:
        """The array as the runtime wants it: C-contiguous, `runtime_shape`, `dtype`."""
        import numpy as np

        moved = array if self.perm is None else array.transpose(self.perm)
        return np.ascontiguousarray(moved, dtype=self.dtype).reshape(self.runtime_shape)

    def from_runtime(self, array: NDArray[Any]) -> NDArray[Any]:
        """The runtime's array back in the source model's layout. Raises ValueError on another size."""
        array = self._as_source(array)
        if self.perm is None:
            return array.reshape(self.shape)
        moved_shape = tuple(self.shape[axis] for axis in self.perm)
        inverse = sorted(range(len(self.perm)), key=self.perm.__getitem__)
        return array.reshape(moved_shape).transpose(inverse)

    def _as_source(self, array: NDArray[Any]) -> NDArray[Any]:
        """The array in the source's dtype; floats that stand for whole numbers are rounded."""
        import numpy as np

        if self.source_dtype is None or self.source_dtype == str(array.dtype):
            return array
        whole = np.dtype(self.source_dtype).kind in "iu" and array.dtype.kind == "f"
        return (np.rint(array) if whole else array).astype(self.source_dtype)

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "runtime_name": self.runtime_name,
            "runtime_shape": list(self.runtime_shape),
            "perm": None if self.perm is None else list(self.perm),
            "source_dtype": self.source_dtype,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TensorSpec:
        return cls(
            name=data["name"],
            dtype=data["dtype"],
            shape=tuple(data["shape"]),
            runtime_name=data["runtime_name"],
            runtime_shape=tuple(data["runtime_shape"]),
            perm=None if data["perm"] is None else tuple(data["perm"]),
            source_dtype=data.get("source_dtype"),
        )
