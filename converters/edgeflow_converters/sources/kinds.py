"""What a model's path says about its framework."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from edgeflow_converters.errors import UnsupportedModel
from edgeflow_converters.sources.base import Source

if TYPE_CHECKING:
    from edgeflow_converters.sources.base import Importer

SUFFIXES: Mapping[str, str] = MappingProxyType(
    {
        ".pt": "pytorch", ".pth": "pytorch", ".pt2": "pytorch",
        ".keras": "keras", ".h5": "keras", ".hdf5": "keras",
        ".tflite": "tflite",
        ".caffemodel": "caffe", ".prototxt": "caffe",
        ".pdmodel": "paddle",
    }
)  # fmt: skip
"""File name's ending -> kind of source."""

SAVED_MODEL = "saved_model.pb"
_FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def kind_of(path: Path) -> str | None:
    """The kind of source that a file or folder is by its name, None if it is none (ONNX is no source)."""
    if path.is_dir():
        return "tensorflow" if (path / SAVED_MODEL).is_file() else None
    return SUFFIXES.get(path.suffix.lower())


def source_of(path: Path) -> Source | None:
    """The source at `path`, None if its name is not one's."""
    kind = kind_of(path)
    return None if kind is None else Source(kind, path)


def is_factory(text: str) -> bool:
    """Whether `text` reads as `module:factory`, which makes a PyTorch model."""
    return _FACTORY.fullmatch(text) is not None


def importer_for(kind: str, tools_root: Path) -> Importer:
    """The importer of a kind. Raises UnsupportedModel for one that there is not."""
    if kind == "pytorch":
        from edgeflow_converters.sources.pytorch import PytorchImporter

        return PytorchImporter(tools_root)
    if kind == "tflite":
        from edgeflow_converters.sources.tflite import TfliteImporter

        return TfliteImporter()
    if kind == "keras":
        from edgeflow_converters.sources.keras.importer import KerasImporter

        return KerasImporter(tools_root)
    if kind == "paddle":
        from edgeflow_converters.sources.paddle.importer import PaddleImporter

        return PaddleImporter(tools_root)
    raise UnsupportedModel(f"there is no way from {kind} to ONNX here", hint="export the model as ONNX")
