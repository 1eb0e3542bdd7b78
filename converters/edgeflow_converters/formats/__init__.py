"""What is inside a model file, of whatever runtime: `describe` finds the format and reads the structure.

Nothing is run; only MNN's files are listed by MNN itself, in a subprocess. One module per format, each with a
function from a path to a Description. A new format is a line in _BY_SUFFIX and a module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from edgeflow_converters.errors import ConverterFailed, ModelUnreadable

_BY_SUFFIX: Mapping[str, str] = {
    ".onnx": "onnx_file",
    ".dlc": "dlc_file",
    ".param": "ncnn_files",
    ".tflite": "tflite_graph",
    ".mnn": "mnn_file",
    ".xml": "openvino_ir",
}
"""Suffix -> module here that reads it."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """`kind`: input, output, inner or constant. `size_bytes` is what a constant takes in the file.

    An axis that is not fixed is None or its name.
    """

    name: str
    kind: str
    dtype: str
    shape: tuple[int | str | None, ...]
    size_bytes: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "size_bytes": self.size_bytes,
        }


@dataclass(frozen=True, slots=True)
class Description:
    """What a file says of itself. What it or its reader does not tell is None, and `not_listed` says so."""

    format: str
    version: str
    producer: str
    operators: Mapping[str, int] | None
    tensors: tuple[Tensor, ...]
    parameters_bytes: int | None
    size_bytes: int
    not_listed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        counts = None if self.operators is None else dict(sorted(self.operators.items()))
        return {
            "format": self.format,
            "version": self.version,
            "producer": self.producer,
            "size_bytes": self.size_bytes,
            "inputs": [tensor.to_json() for tensor in self.tensors if tensor.kind == "input"],
            "outputs": [tensor.to_json() for tensor in self.tensors if tensor.kind == "output"],
            "operators": counts,
            "operator_total": None if counts is None else sum(counts.values()),
            "tensors": [tensor.to_json() for tensor in self.tensors],
            "parameters_bytes": self.parameters_bytes,
            "not_listed": list(self.not_listed),
            "notes": list(self.notes),
        }


def describe(path: Path, tools_root: Path) -> Description:
    """What the model file at `path` holds.

    Raises ModelUnreadable for a file that is missing, empty, truncated, or of no known format; for MNN's what
    its runner raises.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ModelUnreadable(f"{path} {what}", hint="name a model file, or an artifact's folder")
    if not path.stat().st_size and path.suffix != ".bin":
        raise ModelUnreadable(f"{path} is empty", hint="convert or copy it again")
    if path.suffix == ".bin":
        path = _beside(path)
    module = _BY_SUFFIX.get(path.suffix.lower())
    if module is None:
        raise ModelUnreadable(
            f"{path} is of no format that is known by its name", hint=f"known: {', '.join(_BY_SUFFIX)}"
        )
    read = cast(Callable[[Path, Path], Description], import_module(f"{__name__}.{module}").describe)
    try:
        return replace(read(path, tools_root), size_bytes=path.stat().st_size)
    except ConverterFailed as error:
        raise ModelUnreadable(error.message, hint=error.hint, log=error.log) from error
    except OSError as error:
        raise ModelUnreadable(f"cannot read {path}: {error.strerror or error}") from error


def _beside(weights: Path) -> Path:
    """The graph of a .bin, which is ncnn's or OpenVINO's. Raises ModelUnreadable."""
    for suffix in (".param", ".xml"):
        if weights.with_suffix(suffix).is_file():
            return weights.with_suffix(suffix)
    raise ModelUnreadable(
        f"{weights} is weights alone: no .param (ncnn) and no .xml (OpenVINO) is beside it",
        hint="copy the model's other file too",
    )
