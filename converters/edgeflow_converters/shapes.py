"""Pinning: every dynamic axis gets the size that the recipe gives, and nothing else changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from edgeflow_converters.errors import ShapeMismatch
from edgeflow_converters.inspect import PortInfo

if TYPE_CHECKING:
    from edgeflow_converters.tensors import Tensors


def pinned_shapes(
    inputs: Sequence[PortInfo], wanted: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """The full shape of every input, from the model's own and the ones asked for.

    An input that `wanted` does not name keeps its own shape, if that is fixed. Raises ShapeMismatch for a
    name the model does not have, another rank, a fixed axis asked to change, or an axis left open.
    """
    known = {port.name for port in inputs}
    for name in wanted:
        if name not in known:
            raise ShapeMismatch(
                f"the model has no input {name!r}", hint=f"its inputs are: {', '.join(sorted(known))}"
            )
    return {port.name: _pinned(port, wanted.get(port.name)) for port in inputs}


def require_samples_fit(
    samples: Sequence[Tensors], inputs: Sequence[PortInfo], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Every sample names every input, with its shape and dtype. Raises ShapeMismatch."""
    for index, sample in enumerate(samples):
        missing = sorted(set(shapes) - set(sample))
        extra = sorted(set(sample) - set(shapes))
        if missing or extra:
            raise ShapeMismatch(
                f"sample {index} has inputs {sorted(sample)}, the model wants {sorted(shapes)}",
                hint="give each sample every input of the model, by its ONNX name",
            )
        for port in inputs:
            array = sample[port.name]
            if tuple(array.shape) != shapes[port.name]:
                raise ShapeMismatch(
                    f"sample {index}: input {port.name!r} is {list(array.shape)}, "
                    f"the model is pinned to {list(shapes[port.name])}",
                    hint="make the recipe's shape and the sample agree",
                )
            if str(array.dtype) != port.dtype:
                raise ShapeMismatch(
                    f"sample {index}: input {port.name!r} is {array.dtype}, the model wants {port.dtype}",
                    hint="set the input's dtype in the recipe",
                )


def _pinned(port: PortInfo, wanted: tuple[int, ...] | None) -> tuple[int, ...]:
    if wanted is None:
        if port.dynamic_axes:
            axis = port.dynamic_axes[0]
            example = [dim if isinstance(dim, int) else 1 for dim in port.shape]
            raise ShapeMismatch(
                f"input {port.name!r} leaves axis {axis} ({port.shape[axis]!r}) of {_show(port.shape)} open",
                hint=f"write its shape into the recipe, e.g. shape: {example}",
            )
        return tuple(dim for dim in port.shape if isinstance(dim, int))
    if len(wanted) != len(port.shape):
        raise ShapeMismatch(
            f"input {port.name!r} has {len(port.shape)} axes {_show(port.shape)}, "
            f"{len(wanted)} were given: {list(wanted)}",
            hint="give a shape with as many axes as the model's input",
        )
    for axis, (own, asked) in enumerate(zip(port.shape, wanted, strict=True)):
        if asked < 1:
            raise ShapeMismatch(
                f"input {port.name!r}: axis {axis} was given as {asked}, which is no size",
                hint="a pinned shape has positive whole numbers only",
            )
        if isinstance(own, int) and own != asked:
            raise ShapeMismatch(
                f"input {port.name!r}: axis {axis} is fixed to {own} in the model, {asked} was given",
                hint=f"use a shape that fits {_show(port.shape)}",
            )
    return tuple(wanted)


def _show(shape: Sequence[int | str]) -> str:
    return "[" + ", ".join(str(dim) for dim in shape) + "]"
