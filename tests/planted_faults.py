"""Faults planted into what a converter is given: as if the converter had made the mistake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import numpy_helper

from edgeflow_converters.base import Converter, ConvertRequest, Product, ProgressFn, ToolStatus

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeflow_converters.inspect import ModelInfo

Random = np.random.Generator
Spoil = Callable[["NDArray[Any]", Random], "NDArray[Any]"]

WEIGHED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def noisy(weights: NDArray[Any], random: Random) -> NDArray[Any]:
    return weights * (1 + 0.5 * random.normal(size=weights.shape))


def scaled(weights: NDArray[Any], random: Random) -> NDArray[Any]:
    return weights * random.uniform(1.2, 2.0)


def other_signs(weights: NDArray[Any], random: Random) -> NDArray[Any]:
    """In a quarter of the output channels, or columns."""
    axis = 0 if weights.ndim == 4 else weights.ndim - 1
    flipped = random.permutation(weights.shape[axis])[: max(1, weights.shape[axis] // 4)]
    signs = np.ones(weights.shape[axis])
    signs[flipped] = -1
    return weights * signs.reshape([-1 if index == axis else 1 for index in range(weights.ndim)])


def shifted_by_one(weights: NDArray[Any], random: Random) -> NDArray[Any]:
    return np.roll(weights, 1)


SPOILS: dict[str, Spoil] = {
    "weights with noise": noisy,
    "weights scaled": scaled,
    "signs of weights": other_signs,
    "weights one place late": shifted_by_one,
}
SWAPS: dict[str, tuple[str, dict[str, Any]]] = {
    "Relu": ("Abs", {}),
    "Clip": ("Clip", {}),  # its upper end is lowered
    "Sigmoid": ("Tanh", {}),
    "HardSigmoid": ("Sigmoid", {}),
    "Add": ("Sub", {}),
    "Mul": ("Add", {}),
    "PRelu": ("Add", {}),
    "MaxPool": ("AveragePool", {}),
    "Tanh": ("Sigmoid", {}),
}


@dataclass(frozen=True)
class Fault:
    """At the node that computes `tensor`."""

    tensor: str
    op: str
    what: str
    seed: int

    def plant(self, model: onnx.ModelProto) -> bool:
        """Whether the model holds the node, which is then wrong."""
        node = next((node for node in model.graph.node if self.tensor in node.output), None)
        if node is None:
            return False
        if self.what in SPOILS:
            self._spoil(model, node)
        elif node.op_type == "Clip":
            limit = numpy_helper.from_array(np.array(1.5, "f4"), "planted limit")
            model.graph.initializer.append(limit)
            node.input[2] = limit.name
        else:
            node.op_type, attributes = SWAPS[node.op_type]
            if node.op_type != "AveragePool":
                del node.attribute[:]
            node.attribute.extend(onnx.helper.make_attribute(*item) for item in attributes.items())
        return True

    def _spoil(self, model: onnx.ModelProto, node: onnx.NodeProto) -> None:
        held = {tensor.name: tensor for tensor in model.graph.initializer}
        place = next(index for index, name in enumerate(node.input) if name in held and index)
        weights = numpy_helper.to_array(held[node.input[place]])
        spoiled = SPOILS[self.what](weights, np.random.default_rng(self.seed))
        name = f"planted {node.input[place]}"
        model.graph.initializer.append(numpy_helper.from_array(spoiled.astype(weights.dtype), name))
        node.input[place] = name


def draw(model: onnx.ModelProto, random: Random) -> Fault:
    """A fault at some node of the model, as often in weights as in an operator."""
    held = {tensor.name for tensor in model.graph.initializer}
    weighed = [
        node
        for node in model.graph.node
        if node.op_type in WEIGHED and any(name in held for name in node.input[1:])
    ]
    swapped = [
        node
        for node in model.graph.node
        if node.op_type in SWAPS
        and not set(node.input[:2]) <= held
        and (node.op_type != "Clip" or len(node.input) == 3)
    ]
    seed = int(random.integers(1 << 30))
    if not swapped or (weighed and random.random() < 0.5):
        node = weighed[int(random.integers(len(weighed)))]
        return Fault(node.output[0], node.op_type, str(random.choice(list(SPOILS))), seed)
    node = swapped[int(random.integers(len(swapped)))]
    return Fault(node.output[0], node.op_type, f"{node.op_type} as {SWAPS[node.op_type][0]}", seed)


class FaultyConverter:
    """A converter that makes one mistake, wherever it meets the node."""

    def __init__(self, inner: Converter, fault: Fault) -> None:
        self._inner = inner
        self._fault = fault
        self.name = inner.name
        self.rewrites = inner.rewrites

    def doctor(self) -> ToolStatus:
        return self._inner.doctor()

    def versions(self) -> dict[str, str]:
        return self._inner.versions()

    def requires(self, request: ConvertRequest, info: ModelInfo) -> None:
        self._inner.requires(request, info)

    def convert(self, request: ConvertRequest, out: Path, progress: ProgressFn) -> Product:
        model = onnx.load(request.source)
        self._fault.plant(model)
        spoiled = request.source.with_name(f"spoiled-{request.source.name}")
        onnx.save(model, spoiled)
        return self._inner.convert(replace(request, source=spoiled), out, progress)

    def run(
        self, product: Product, folder: Path, samples: Path, result: Path, work: Path, timeout_s: float
    ) -> None:
        self._inner.run(product, folder, samples, result, work, timeout_s)
