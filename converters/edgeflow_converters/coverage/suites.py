"""Where cases come from: ONNX's own backend tests, or a folder of models with stored answers."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_converters import digest
from edgeflow_converters.coverage.case import Case
from edgeflow_converters.errors import ModelUnreadable, UnknownTarget

if TYPE_CHECKING:
    import onnx

    from edgeflow_converters.tensors import Tensors

_EXPANDED = "_expanded"
"""Mark of ONNX's node tests that are another one with its function written out."""
_SMALL = ("simple", "pytorch-operator", "pytorch-converted")


def cases(suite: str) -> list[Case]:
    """The cases of a suite by its name, or of the folder of that path, by name.

    `onnx-node`: ONNX's backend tests of one node each. `onnx-small`: the small graphs that the onnx package
    carries. A folder: each of its folders holds model.onnx, and test_data_set_0 (_1, …) with input_*.pb
    and output_*.pb, the way ONNX stores its own. Raises UnknownTarget, and ModelUnreadable for a folder
    without any.
    """
    if suite == "onnx-node":
        found = list(_node_cases())
    elif suite == "onnx-small":
        found = [case for kind in _SMALL for case in folder_cases(_carried() / kind)]
    elif Path(suite).is_dir():
        found = list(folder_cases(Path(suite)))
        if not found:
            raise ModelUnreadable(
                f"{suite} holds no case", hint="a case is a folder with model.onnx and test_data_set_0/*.pb"
            )
    else:
        raise UnknownTarget(
            f"there is no suite {suite!r}",
            hint="suites: onnx-node, onnx-small, exports33, or a folder of cases",
        )
    return sorted(found, key=lambda case: case.name)


def folder_cases(folder: Path) -> Iterator[Case]:
    """The cases that are stored in `folder` the way of ONNX's backend tests."""
    for model in sorted(folder.glob("*/model.onnx")):
        yield _stored_case(model)


def _stored_case(path: Path) -> Case:
    import onnx

    content = path.read_bytes()
    model = onnx.load_from_string(content)
    sets = [
        tuple(_stored(sorted(data.glob(f"{kind}_*.pb"), key=_number)) for kind in ("input", "output"))
        for data in sorted(path.parent.glob("test_data_set_*"), key=_number)
    ]
    return _case(path.parent.name, model, content, sets)


def _number(path: Path) -> int:
    return int(path.stem.rpartition("_")[2])


def _stored(paths: Sequence[Path]) -> list[Any]:
    """Tensors; None for what is stored as something else."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from onnx import numpy_helper

    values: list[Any] = []
    for path in paths:
        try:
            values.append(numpy_helper.to_array(onnx.load_tensor(str(path))))
        except (DecodeError, TypeError, ValueError):
            values.append(None)
    return values


def _carried() -> Path:
    import onnx

    return Path(onnx.__file__).parent / "backend" / "test" / "data"


def _node_cases() -> Iterator[Case]:
    import numpy as np
    from onnx.backend.test.case.node import collect_testcases

    # The cases are computed here, some of them of random numbers: the same ones each time.
    state = np.random.get_state()
    try:
        np.random.seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = collect_testcases(None)
    finally:
        np.random.set_state(state)
    for each in found:
        if _EXPANDED not in each.name:
            assert each.model is not None and each.data_sets is not None  # as for all of this kind
            yield _case(each.name, each.model, each.model.SerializeToString(), each.data_sets)


def _case(name: str, model: onnx.ModelProto, content: bytes, sets: Sequence[Sequence[Sequence[Any]]]) -> Case:
    """A case of `sets`: the values of the inputs and the right ones of the outputs, in the model's order."""
    inputs = _all_named([value.name for value in _inputs(model)], [given for given, _ in sets])
    outputs = _all_named([value.name for value in model.graph.output], [right for _, right in sets])
    if not inputs or not outputs:
        inputs, outputs = [], []

    def write(folder: Path) -> Path:
        path = folder / f"{name}.onnx"
        path.write_bytes(content)
        return path

    parts = [hashlib.sha256(content).hexdigest()]
    parts += [digest.of_samples(tensors) for tensors in (inputs, outputs)]
    return Case(name, digest.of_json({"parts": parts}), write, inputs, outputs)


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def _all_named(names: Sequence[str], sets: Iterable[Sequence[Any]]) -> list[Tensors]:
    """Each set by name; none at all if one holds what is no tensor."""
    named = [_named(names, values) for values in sets]
    known = [tensors for tensors in named if tensors is not None]
    return known if len(known) == len(named) else []


def _named(names: Sequence[str], values: Sequence[Any]) -> Tensors | None:
    """By name, as arrays; None if one of them is no tensor, or there are not as many as names."""
    import numpy as np
    import onnx

    # What numpy has no type for (bfloat16, 8-bit floats) is given as ONNX stores it.
    values = [
        onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value
        for value in values
    ]
    if len(names) != len(values) or not all(isinstance(value, np.ndarray | np.generic) for value in values):
        return None
    arrays = [np.asarray(value) for value in values]
    texts = [array.astype(np.str_) if array.dtype.kind == "O" else array for array in arrays]
    return dict(zip(names, texts, strict=True))
