"""Keras: .keras and HDF5 as ONNX, judged by Keras itself, whose backend is JAX here.

foreign/keras_model.py tells what a file holds, layer by layer; ops/ makes ONNX of that. A layer that is not
known is declined by its class before Keras makes anything of the file, so that no code in it runs.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_converters import foreign
from edgeflow_converters.arrays import load_sets, save_sets
from edgeflow_converters.environments import environment
from edgeflow_converters.errors import ConverterFailed, ModelUnreadable, ShapeMismatch
from edgeflow_converters.sources.base import Asked, Candidate, Source
from edgeflow_converters.sources.files import present
from edgeflow_converters.sources.keras.ops import KINDS
from edgeflow_converters.sources.keras.translation import write_onnx

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeflow_converters.base import ProgressFn
    from edgeflow_converters.tensors import Tensors

_SCRIPT, _TOOL = "keras_model", "keras"
_HDF5, _ZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"


class KerasImporter:
    """Our own translation of what Keras reads; answers with Keras."""

    def __init__(self, tools_root: Path) -> None:
        self._environment = environment(_TOOL, tools_root)

    def files(self, source: Source) -> Sequence[Path]:
        require_form(present(source.path))
        return (source.path,)

    def tools(self) -> Mapping[str, str]:
        return {"keras": f"{self._environment.lock.version} (lock {self._environment.lock.digest})"}

    def to_onnx(self, source: Source, asked: Asked, out: Path, progress: ProgressFn) -> Sequence[Candidate]:
        weights = out.parent / "weights.npz"
        told = self._call({"weights": str(weights)}, source, asked, out.parent, progress)
        write_onnx(told, weights, source.name, out / "model.onnx")
        return [Candidate("edgeflow's translation of Keras layers", out / "model.onnx")]

    def outputs(
        self, source: Source, asked: Asked, samples: Sequence[Tensors], work: Path, progress: ProgressFn
    ) -> list[dict[str, NDArray[Any]]]:
        save_sets(work / "own-samples.npz", samples)
        paths = {"samples": str(work / "own-samples.npz"), "result": str(work / "own.npz")}
        self._call(paths, source, asked, work, progress)
        if not (work / "own.npz").is_file():
            raise ConverterFailed(f"Keras, running {source.name}, said success and wrote nothing")
        return load_sets(work / "own.npz")

    def _call(
        self, what: Mapping[str, str], source: Source, asked: Asked, work: Path, progress: ProgressFn
    ) -> dict[str, Any]:
        python = self._environment.ensure(progress)
        spec = {
            "model": str(source.path.resolve()),
            "layers": sorted(KINDS),
            "shapes": {name: list(port.shape) for name, port in asked.inputs.items()},
            **what,
        }
        told = foreign.call(_SCRIPT, python, spec, what=source.name, cwd=work, timeout_s=asked.timeout_s)
        if "refused" in told:
            raise ShapeMismatch(told["refused"], hint=told["hint"])
        return told


def require_form(path: Path) -> None:
    """Raises ModelUnreadable for what is neither an HDF5 file nor a whole .keras archive."""
    again = "save or download the model again"
    with path.open("rb") as stream:
        mark = stream.read(len(_HDF5))
    if mark == _HDF5:
        return
    if not mark.startswith(_ZIP):
        raise ModelUnreadable(f"{path} cannot be read as Keras: it is neither HDF5 nor .keras", hint=again)
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        told = f"{path} cannot be read as Keras: it is truncated, or no whole archive ({error})"
        raise ModelUnreadable(told, hint=again) from error
    if broken is not None:
        raise ModelUnreadable(f"{path} cannot be read as Keras: it is damaged ({broken})", hint=again)
