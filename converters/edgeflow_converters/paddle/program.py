"""A Paddle program in the making: its tensors, its parameters and its operations in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_converters.paddle import wire

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Program:
    """Names are made here, never taken from the model, where one may be `feed` or `fetch`."""

    def __init__(self) -> None:
        self._tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
        self._parameters: dict[str, NDArray[Any]] = {}
        self._operations: list[bytes] = []
        self.kinds: list[str] = []

    def tensor(self, dtype: str, shape: Sequence[int], base: str = "t") -> str:
        """A new variable's name."""
        name = f"{base}_{len(self._tensors)}"
        self._tensors[name] = (dtype, tuple(shape))
        return name

    def parameter(self, array: NDArray[Any]) -> str:
        """The name of a new constant. A number becomes a tensor of one: Paddle 2.x has no other."""
        import numpy as np

        kept = np.ascontiguousarray(array.reshape(1) if array.ndim == 0 else array)
        name = self.tensor(str(kept.dtype), kept.shape, "w")
        self._parameters[name] = kept
        return name

    def shape(self, name: str) -> tuple[int, ...]:
        return self._tensors[name][1]

    def operation(
        self,
        kind: str,
        inputs: Mapping[str, Sequence[str]],
        outputs: Mapping[str, Sequence[str]],
        **attributes: Any,
    ) -> None:
        """Appends an operation."""
        self.kinds.append(kind)
        self._operations.append(wire.operation(kind, inputs, outputs, {**attributes, "op_role": 0}))

    def save(self, model: Path, parameters: Path) -> None:
        """Writes the program and its parameters, which lie in the order of their names."""
        variables = [
            wire.list_variable("feed", wire.FEED_MINIBATCH),
            wire.list_variable("fetch", wire.FETCH_LIST),
        ]
        for name, (dtype, shape) in self._tensors.items():
            variables.append(wire.variable(name, dtype, shape, persistable=name in self._parameters))
        model.write_bytes(wire.program(variables, self._operations))
        with parameters.open("wb") as file:
            for name in sorted(self._parameters):
                file.write(wire.parameter(self._parameters[name]))
