"""Whether the 8-bit weights in a product are the model's: read back from its files and compared, one by one.

The outputs' tolerance of int8 is wide, and a part of the weights that is wrong may hide in it. What rounding
to 8 bits may do to a weight is known: half a step of its scale. So each stored weight is held against the
fp32 model that was quantized, and what stayed fp32 must be the same. Built for ncnn (.bin) and ONNX Runtime
(.onnx). What is not judged here: the scales of activations, of which only running the product tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from edgeflow_converters.errors import NumericsDisagree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeflow_converters.base import Product

_STEPS = 0.501  # rounding takes half a step; the rest is float32's
_CLIPPED = 1.01  # steps, for the extremes, where a scale is of 255 steps and 127 is the largest number
# Step by the tensor's largest weight: with a coarser one the rule of steps says nothing. Not by the largest
# that shares the step: ONNX Runtime widens a channel's where its bias would not fit 32 bits otherwise, for a
# channel of next to nothing without end.
_COARSEST = 1.5 / 127
_NEXT_TO_NOTHING = 1e-3


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor: as the fp32 model has it, as the product means it (stored number times scale), and how
    large a step is there; 0 where nothing may differ."""

    name: str
    exact: NDArray[Any]
    meant: NDArray[Any]
    step: NDArray[Any]
    fine: bool = True  # whether the step must suit the numbers; a bias takes that of what it is added to


Reader = Callable[["Product", Path, Path, Path], Iterator[Stored]]


def require_the_models_weights(
    runtime: str, product: Product, folder: Path, prepared: Path, work: Path
) -> int:
    """How many tensors of the product in `folder` were compared; 0 for a runtime whose format is not read
    here, or weights that are not of 8 bits. `prepared` is the model that was converted; in `work` lies what
    the target made of it on the way.

    Raises NumericsDisagree naming the first tensor that is not the model's.
    """
    reader = _READERS.get(runtime)
    if reader is None or product.weights_dtype != "int8":
        return 0
    count = 0
    for tensor in reader(product, folder, prepared, work):
        wrong = complaint(tensor)
        if wrong:
            raise NumericsDisagree(
                f"{runtime}: the stored weights are not the model's: {wrong}",
                hint="nothing was kept; convert again, and report it if it happens again",
            )
        count += 1
    return count


def complaint(tensor: Stored) -> str:
    """What of a stored tensor 8 bits do not explain; "" if they explain all."""
    import numpy as np

    if tensor.exact.shape != tensor.meant.shape:
        return f"{tensor.name} is {list(tensor.meant.shape)}, and {list(tensor.exact.shape)} in the model"
    with np.errstate(invalid="ignore"):  # what is no number is wrong, and told below
        error = np.abs(tensor.meant.astype(np.float64) - tensor.exact)
    largest = np.abs(tensor.meant) >= np.abs(tensor.meant).max(initial=0.0)
    allowed = tensor.step * np.where(largest, _CLIPPED, _STEPS)
    wrong = ~(error <= allowed)  # also what is not a number
    if wrong.any():
        return (
            f"{np.count_nonzero(wrong)} of {wrong.size} numbers of {tensor.name} differ by more than rounding"
        )
    shared = tuple(axis for axis in range(tensor.exact.ndim) if tensor.step.shape[axis : axis + 1] == (1,))
    largest = np.abs(tensor.exact).max(axis=shared, keepdims=True, initial=0.0)
    of_all = float(largest.max(initial=0.0))
    coarse = (largest > _NEXT_TO_NOTHING * of_all) & (tensor.step > _COARSEST * of_all) & tensor.fine
    return f"{np.count_nonzero(coarse)} of the scales of {tensor.name} are too coarse" if coarse.any() else ""


def _ncnn(product: Product, folder: Path, prepared: Path, work: Path) -> Iterator[Stored]:
    from edgeflow_converters.targets.ncnn_int8 import read_back
    from edgeflow_converters.targets.ncnn_param import parse_param

    del prepared
    sides = [
        (parse_param(place / product.files["param"]), (place / product.files["bin"]).read_bytes())
        for place in (work / "pnnx", folder)
    ]
    for name, exact, meant, step in read_back(*sides[0], *sides[1]):
        yield Stored(name, exact, meant, step)


def _onnxruntime(product: Product, folder: Path, prepared: Path, work: Path) -> Iterator[Stored]:
    import numpy as np
    import onnx
    from onnx import numpy_helper

    del work
    exact, stored = (
        {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
        for path in (prepared, folder / product.files["model"])
    )
    for name, array in stored.items():
        source = exact.get(name.removesuffix("_quantized"))
        if source is None or source.dtype.kind != "f":
            continue
        scale = next((stored[key] for key in _scales(name) if key in stored), None)
        if scale is None or array.dtype.kind not in "iu":
            yield Stored(name, source, array, np.zeros([1] * source.ndim))
            continue
        zero = next((stored[key] for key in _zeros(name) if key in stored), np.zeros(1, array.dtype))
        found = _best_axis(name, source, array.astype(np.float64), scale, zero)
        yield replace(found, fine=array.dtype.itemsize == 1)


def _scales(name: str) -> tuple[str, ...]:
    return (f"{name.removesuffix('_quantized')}_scale", f"{name}_scale")


def _zeros(name: str) -> tuple[str, ...]:
    return (f"{name.removesuffix('_quantized')}_zero_point", f"{name}_zero_point")


def _best_axis(
    name: str, exact: NDArray[Any], numbers: NDArray[Any], scale: NDArray[Any], zero: NDArray[Any]
) -> Stored:
    """The tensor with its scales along the axis that fits it best: the file tells the axis in many ways.

    The matrices of an LSTM are stored with their last two axes exchanged.
    """
    import numpy as np

    found = []
    axes = [axis for axis, size in enumerate(numbers.shape) if size == scale.size] if scale.size > 1 else [-1]
    for axis in axes:
        shape = [1] * numbers.ndim
        if scale.size > 1:
            shape[axis] = scale.size
        step = np.abs(scale.astype(np.float64).reshape(shape))
        offset = zero.astype(np.float64).reshape(shape if zero.size == scale.size else [1] * numbers.ndim)
        meant = (numbers - offset) * step
        for source in (exact, exact.swapaxes(-1, -2)) if exact.ndim > 1 else (exact,):
            distance = float(np.linalg.norm(meant - source)) if meant.shape == source.shape else np.inf
            found.append((distance, Stored(name, source, meant, step)))
    if not found:
        return Stored(name, exact, numbers, np.zeros([1] * exact.ndim))
    return min(found, key=lambda item: item[0] if item[0] == item[0] else np.inf)[1]


_READERS: Mapping[str, Reader] = MappingProxyType({"ncnn": _ncnn, "onnxruntime": _onnxruntime})
