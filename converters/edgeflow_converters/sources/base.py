"""The vocabulary of sources: a model in a framework's own form, and how it becomes ONNX and is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeflow_converters.base import ProgressFn
    from edgeflow_converters.tensors import Tensors


@dataclass(frozen=True, slots=True)
class Source:
    """A model in a framework's own form. `path` is its file or folder; for `module:factory`, the folder in
    which the module is looked for, and `factory` is those words."""

    kind: str  # pytorch, tensorflow, keras, tflite, caffe, paddle
    path: Path
    factory: str = ""

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.factory or self.path.name


@dataclass(frozen=True, slots=True)
class InputShape:
    """What an input is to be: sources that do not say it themselves (PyTorch) are told."""

    shape: tuple[int, ...]
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class Asked:
    """How a source is to be imported. `inputs` is empty where nobody told; `trust` lets a pickle run what it
    holds; `python` is the interpreter of an environment that has the framework and the model's code."""

    inputs: Mapping[str, InputShape] = field(default_factory=dict)
    trust: bool = False
    python: Path | None = None
    timeout_s: float = 900.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way's ONNX of a source, not judged yet: `exporter` names the way."""

    exporter: str
    model: Path
    notes: tuple[str, ...] = ()


class Importer(Protocol):
    """One framework. Implementations live in `sources/`, a module each; none imports an ML library."""

    def files(self, source: Source) -> Sequence[Path]:
        """Every file that the model is made of, the model's own first. Raises ModelUnreadable for one that
        is missing."""

    def tools(self) -> Mapping[str, str]:
        """What shapes the ONNX or the outputs -> version; part of the import's key. Cheap."""

    def to_onnx(self, source: Source, asked: Asked, out: Path, progress: ProgressFn) -> Sequence[Candidate]:
        """Write the ONNX models of `source` into the empty folder `out`, the likeliest way first.

        Raises UnsupportedModel naming the layer, ModelUnreadable for a truncated file, ToolMissing.
        """

    def outputs(
        self, source: Source, asked: Asked, samples: Sequence[Tensors], work: Path, progress: ProgressFn
    ) -> list[dict[str, NDArray[Any]]]:
        """What the framework itself answers for each sample, by the names of the ONNX model's outputs.

        `work` is scratch space, the same that to_onnx's `out` lies in.
        """
