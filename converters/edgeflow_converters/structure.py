"""Inputs that are attributes in all but name: what they hold decides shapes or settings, not values.

Where a model takes the shape of a Reshape, the axes of a ReduceSum or the bounds of a Clip as an input,
mobile runtimes want a constant. As a dynamic axis is pinned to a size, such an input is pinned to what every
sample holds; it is then no input of the product, which says so (Artifact.pinned) and refuses other values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from edgeflow_converters.errors import ShapeMismatch
from edgeflow_converters.inspect import STANDARD_DOMAINS, PortInfo, all_nodes

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from edgeflow_converters.tensors import Tensors

_MOST_AXES = 1
"""A setting is a number or a list of them."""
_ALL = tuple(range(16))
_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")

SETTINGS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "AffineGrid": (1,),
        "BlackmanWindow": (0,),
        "CenterCropPad": (1,),
        "Clip": (1, 2),
        "Col2Im": (1, 2),
        "ConstantOfShape": (0,),
        "CumProd": (1,),
        "CumSum": (1,),
        "DFT": (1, 2),
        "Dropout": (1, 2),
        "Expand": (1,),
        "HammingWindow": (0,),
        "HannWindow": (0,),
        "MaxUnpool": (2,),
        "MelWeightMatrix": _ALL,
        "NonMaxSuppression": (2, 3, 4),
        "OneHot": (1,),
        "Pad": (1, 2, 3),
        "Range": (0, 1, 2),
        "Reshape": (1,),
        "Resize": (1, 2, 3),
        "STFT": (1, 3),
        "Slice": (1, 2, 3, 4),
        "Split": (1,),
        "SplitToSequence": (1,),
        "Squeeze": (1,),
        "Tile": (1,),
        "TopK": (1,),
        "Trilu": (1,),
        "Unsqueeze": (1,),
        "Upsample": (1,),
        **{f"Reduce{kind}": (1,) for kind in _REDUCTIONS},
    }
)
"""Operator -> which of its inputs say how it works, by their number (operators of ONNX's opset 26; most of
them were attributes in earlier ones)."""


def pinned_values(
    source: Path, ports: Sequence[PortInfo], samples: Sequence[Tensors]
) -> dict[str, NDArray[Any]]:
    """The inputs of the model that are settings, each with the value that it has in all of `samples`; those
    that differ among these stay inputs."""
    import numpy as np

    if not any(len(port.shape) <= _MOST_AXES for port in ports):
        return {}  # as nearly all models: nothing is read
    found = {}
    for name in _settings_of(source, ports):
        values = [sample[name] for sample in samples if name in sample]
        if values and all(np.array_equal(values[0], other) for other in values[1:]):
            found[name] = values[0]
    return found


def _settings_of(source: Path, ports: Sequence[PortInfo]) -> list[str]:
    import onnx

    model = onnx.load_model(source, load_external_data=False)
    nodes = list(all_nodes(model.graph))
    outputs = {value.name for value in model.graph.output}
    return [
        port.name
        for port in ports
        if len(port.shape) <= _MOST_AXES and port.name not in outputs and _only_sets(port.name, nodes)
    ]


_LIKE_THE_DATA: Mapping[str, tuple[int, ...]] = MappingProxyType({"Clip": (1, 2), "Pad": (2,), "Range": _ALL})
"""Settings that have the type of what is computed, whichever that is."""


def settings(model: onnx.ModelProto) -> frozenset[str]:
    """The values of the model that some operator takes for a setting and in that setting's own type."""
    return frozenset(
        node.input[number]
        for node in all_nodes(model.graph)
        if node.domain in STANDARD_DOMAINS
        for number in SETTINGS.get(node.op_type, ())
        if number < len(node.input) and number not in _LIKE_THE_DATA.get(node.op_type, ())
    )


def _only_sets(name: str, nodes: Sequence[onnx.NodeProto]) -> bool:
    """Whether all that read `name` take it for a setting."""
    readers = [(node, number) for node in nodes for number, given in enumerate(node.input) if given == name]
    return bool(readers) and all(
        node.domain in STANDARD_DOMAINS and number in SETTINGS.get(node.op_type, ())
        for node, number in readers
    )


def write_pinned(source: Path, values: Mapping[str, NDArray[Any]], out: Path) -> None:
    """The model of `source` with `values` as constants instead of inputs, in the file `out`."""
    import onnx

    model = onnx.load(source)
    kept = [value for value in model.graph.input if value.name not in values]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    for name, array in values.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.save(model, out)


def without(tensors: Tensors, names: Mapping[str, object]) -> Tensors:
    """The tensors but for those of `names`."""
    return {name: array for name, array in tensors.items() if name not in names}


def require_pinned(pinned: Mapping[str, Any], sample: Tensors) -> None:
    """Raises ShapeMismatch if an input of `sample` is another than the product was pinned to."""
    import numpy as np

    for name, value in pinned.items():
        if name in sample and not np.array_equal(sample[name], np.asarray(value)):
            raise ShapeMismatch(
                f"input {name!r} is {np.asarray(sample[name]).tolist()}, the product was made for {value}: "
                "it is a setting of the model, so that it is a constant of the product",
                hint="convert the model with samples that hold this value",
            )
