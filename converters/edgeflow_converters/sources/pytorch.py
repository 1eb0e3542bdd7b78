"""PyTorch: TorchScript (.pt), exported programs (.pt2), `module:factory`, and pickles that are trusted.

The files are told apart here, without PyTorch and without loading anything; the rest happens in PyTorch's own
environment, or in the one the user names, where the model's code is. A pickle can run anything: it is loaded
only when the user says that it is trusted. Both exporters are tried.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_converters import foreign
from edgeflow_converters.arrays import load_sets, save_sets
from edgeflow_converters.environments import environment
from edgeflow_converters.errors import ConverterFailed, ModelUnreadable, NotTrusted
from edgeflow_converters.sources.base import Asked, Candidate, Source
from edgeflow_converters.sources.files import present

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeflow_converters.base import ProgressFn
    from edgeflow_converters.tensors import Tensors

_SCRIPT, _TOOL = "pytorch_export", "pytorch"
_PICKLE_MARK, _ZIP_MARK = b"\x80", b"PK"


class PytorchImporter:
    """Exports with torch.onnx; answers with the model itself."""

    def __init__(self, tools_root: Path) -> None:
        self._environment = environment(_TOOL, tools_root)

    def files(self, source: Source) -> Sequence[Path]:
        return () if source.factory else (present(source.path),)

    def tools(self) -> Mapping[str, str]:
        return {"pytorch": f"{self._environment.lock.version} (lock {self._environment.lock.digest})"}

    def to_onnx(self, source: Source, asked: Asked, out: Path, progress: ProgressFn) -> Sequence[Candidate]:
        spec = {**_spec(source, asked), "out": str(out)}
        answer = self._call(spec, source, asked, out.parent, progress)
        failed = tuple(f"the exporter {name} failed: {why}" for name, why in answer["failed"].items())
        return [
            Candidate(f"torch.onnx {name}", out / file, failed) for name, file in answer["models"].items()
        ]

    def outputs(
        self, source: Source, asked: Asked, samples: Sequence[Tensors], work: Path, progress: ProgressFn
    ) -> list[dict[str, NDArray[Any]]]:
        save_sets(work / "own-samples.npz", samples)
        paths = {"samples": str(work / "own-samples.npz"), "result": str(work / "own.npz")}
        self._call({**_spec(source, asked), **paths}, source, asked, work, progress)
        if not (work / "own.npz").is_file():
            raise ConverterFailed(f"PyTorch, running {source.name}, said success and wrote nothing")
        return load_sets(work / "own.npz")

    def _call(
        self, spec: Mapping[str, Any], source: Source, asked: Asked, work: Path, progress: ProgressFn
    ) -> dict[str, Any]:
        python = asked.python or self._environment.ensure(progress)
        return foreign.call(_SCRIPT, python, spec, what=source.name, cwd=work, timeout_s=asked.timeout_s)


def _spec(source: Source, asked: Asked) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "inputs": {
            name: {"shape": list(port.shape), "dtype": port.dtype} for name, port in asked.inputs.items()
        },
        "trust": asked.trust,
    }
    if source.factory:
        return {**spec, "factory": source.factory, "folder": str(source.path.resolve())}
    form = form_of(source.path)
    if form == "pickle" and not asked.trust:
        raise NotTrusted(
            f"{source.path.name} is a pickle, which can run anything when it is loaded",
            hint="if you trust where it comes from: --trust; better: torch.export.save, or module:factory",
        )
    folder = str(source.path.resolve().parent)
    return {**spec, "model": str(source.path.resolve()), "form": form, "folder": folder}


def form_of(path: Path) -> str:
    """ "torchscript", "exported" or "pickle", by what lies in the file. Raises ModelUnreadable."""
    with path.open("rb") as stream:
        mark = stream.read(2)
    if mark[:2] == _ZIP_MARK:
        try:
            with zipfile.ZipFile(path) as archive:
                broken = archive.testzip()
                names = archive.namelist()
        except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
            raise _unreadable(path, "it is truncated or damaged") from error
        if broken is not None:
            raise _unreadable(path, f"it is damaged ({broken})")
        if any("/code/" in name or name.startswith("code/") for name in names):
            return "torchscript"
        ends = ("models/model.json", "serialized_exported_program.json")
        if any(name.endswith(ends) for name in names):
            return "exported"
        if any(name.endswith("data.pkl") for name in names):
            return "pickle"
    elif mark[:1] == _PICKLE_MARK:
        return "pickle"
    raise _unreadable(path, "it is none of TorchScript, exported program and pickle")


def _unreadable(path: Path, why: str) -> ModelUnreadable:
    return ModelUnreadable(
        f"{path} cannot be read as PyTorch: {why}", hint="save or download the model again"
    )
