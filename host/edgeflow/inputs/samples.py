"""The input sets that judge a converted model: the recipe's real ones, then seeded random ones in range."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeflow.config.recipe import Recipe
from edgeflow.config.recipe_schema import InputSpec
from edgeflow.errors import UsageError
from edgeflow.inputs.preprocess import load_input, normalize

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEAR, NEAR_COUNT = 0.05, 3
SMOOTH_GRID = 5
"""Cells per side of the coarse grid that smooth images interpolate: about two periods across the picture."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One complete input set in the model's own layout, its right answer if known, and where it is from."""

    tensors: Mapping[str, NDArray[Any]]
    label: str | None
    origin: str


def real_samples(recipe: Recipe) -> list[Sample]:
    """The recipe's samples, preprocessed by the recipe. Raises UsageError on a missing or unfit file."""
    samples = []
    for index, spec in enumerate(recipe.samples):
        tensors = {}
        for name, input_spec in recipe.inputs.items():
            if name in spec.files:
                path = recipe.file(spec.files[name], f"samples.{index}.files.{name}")
                tensors[name] = load_input(input_spec, path, name)
            else:
                tensors[name] = constant(input_spec)
        samples.append(Sample(tensors, spec.label, ", ".join(spec.files.values())))
    return samples


def gate_samples(recipe: Recipe, seed: int = 0, random_count: int = 3) -> list[Sample]:
    """The recipe's real samples, then `random_count` random ones that depend only on recipe, seed and index.

    Image inputs take turns between a smooth low-frequency picture (white noise saturates detectors) and
    uniform noise, both as pixels 0..255 through the recipe's own normalization, or spread over the recipe's
    `range` where it gives one. Tensors are uniform over the range (default: [-1, 1]; for integers and bool,
    0 and 1). The bits are PCG64's raw output, which numpy keeps stable across versions and machines.
    """
    samples = real_samples(recipe)
    for index in range(random_count):
        tensors = {name: _random(spec, name, seed, index) for name, spec in recipe.inputs.items()}
        samples.append(Sample(tensors, None, f"random {index}, seed {seed}"))
    if not samples:
        raise UsageError(f"{recipe.origin}: no samples to judge the model by")
    return samples


def samples_for(recipe: Recipe, precision: str) -> list[Sample]:
    """What a product of `precision` is judged by: `gate_samples`, but for static int8.

    Static int8 holds on what is like its calibration data: ranges measured on real inputs say nothing of
    noise, and a sound product clips there. So it is judged by the real inputs and by inputs near them that
    calibration has not seen: each a real one with a seeded change of up to NEAR of its range.
    """
    real = real_samples(recipe)
    if precision != "int8" or not real:
        return gate_samples(recipe)
    near = [
        Sample(
            {name: _near(array, name, index) for name, array in real[index % len(real)].tensors.items()},
            None,
            f"near {real[index % len(real)].origin}, {index}",
        )
        for index in range(NEAR_COUNT)
    ]
    return [*real, *near]


def _near(array: NDArray[Any], name: str, index: int) -> NDArray[Any]:
    import numpy as np

    if array.dtype.kind != "f" or not array.size:
        return array
    unit = _unit(np.random.PCG64(np.random.SeedSequence([index, zlib.crc32(name.encode())])), array.shape)
    low, high = float(array.min()), float(array.max())
    changed = array + NEAR * (high - low) * (2.0 * unit - 1.0)
    return np.asarray(changed.clip(low, high), dtype=array.dtype)


def constant(spec: InputSpec) -> NDArray[Any]:
    """What fills an input for which no file is given: its `value` everywhere."""
    import numpy as np

    return np.full(spec.shape, spec.value, dtype=spec.dtype)


def _random(spec: InputSpec, name: str, seed: int, index: int) -> NDArray[Any]:
    """One random tensor for one input."""
    import numpy as np

    bits = np.random.PCG64(np.random.SeedSequence([seed, index, zlib.crc32(name.encode())]))
    smooth = index % 2 == 0
    if spec.kind == "image":
        height, width = spec.size
        if smooth:
            unit = _smooth(_unit(bits, (SMOOTH_GRID, SMOOTH_GRID, spec.channels)), height, width)
        else:
            unit = _unit(bits, (height, width, spec.channels))
        if spec.range is None:
            return normalize(spec, np.floor(unit * 256.0).clip(0.0, 255.0))
        axes = tuple("HWC".index(axis) for axis in spec.layout[1:])
        unit = unit.transpose(axes).reshape(spec.shape)
    else:
        unit = _unit(bits, spec.shape)
    if np.dtype(spec.dtype).kind == "f":
        low, high = spec.range or (-1.0, 1.0)
        return (low + (high - low) * unit).astype(spec.dtype)
    low, high = spec.range or (0.0, 1.0)
    return np.floor(low + (high - low + 1.0) * unit).clip(low, high).astype(spec.dtype)


def _unit(bits: np.random.PCG64, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Uniform float64 in [0, 1): the upper 53 bits of each 64-bit word, in C order."""
    import numpy as np

    words = np.asarray(bits.random_raw(int(np.prod(shape, dtype=np.int64))), dtype=np.uint64)
    unit = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return np.asarray(unit, dtype=np.float64).reshape(shape)


def _smooth(grid: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """`grid` (rows, columns, channels) bilinearly interpolated to height x width."""
    import numpy as np

    def along(cells: NDArray[np.float64], length: int) -> NDArray[np.float64]:
        position = np.linspace(0.0, cells.shape[0] - 1.0, length)
        low = np.minimum(position.astype(np.int64), cells.shape[0] - 2)
        weight = (position - low).reshape(-1, 1, 1)
        return np.asarray(cells[low] * (1.0 - weight) + cells[low + 1] * weight)

    rows = along(grid, height)
    return along(rows.transpose(1, 0, 2), width).transpose(1, 0, 2)
