"""From a framework's own form to ONNX, judged by what the framework itself answers.

A source may have several ways to ONNX (PyTorch has two exporters). Each way's model is run by ONNX Runtime
over the samples and compared with the framework's outputs; the one that agrees is kept, the closest if
several do, and what became of the others is told. Nothing is kept that does not agree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_converters import digest
from edgeflow_converters.arrays import load_sets, save_sets
from edgeflow_converters.cache import Cache
from edgeflow_converters.check import TOLERANCES, Verdict, compare
from edgeflow_converters.errors import ConverterFailed, ConvertError, NumericsDisagree, UnsupportedModel
from edgeflow_converters.inspect import inspect_model
from edgeflow_converters.runners import process
from edgeflow_converters.sources.base import Asked, Candidate, Source
from edgeflow_converters.sources.kinds import importer_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeflow_converters.base import ProgressFn
    from edgeflow_converters.inspect import ModelInfo
    from edgeflow_converters.tensors import Tensors

# Part of every import's key: raise it when a change in sources/ makes another model of the same source.
IMPORT_VERSION = "2"

_FACTS, _RANDOM_SETS = "import.json", 3


@dataclass(frozen=True, slots=True)
class Imported:
    """An ONNX model that agrees with its source. `facts` are JSON: kind, sha256 of the source, exporter,
    agreement, notes, tools; they go into artifact.json as `source`."""

    model: Path
    facts: Mapping[str, Any]


def import_model(
    source: Source,
    asked: Asked,
    cache_root: Path,
    tools_root: Path,
    progress: ProgressFn,
    *,
    samples: Sequence[Tensors] = (),
) -> Imported:
    """The ONNX model of `source`, from the cache or made now; seeded random samples if none are given.

    Raises a ConvertError: ModelUnreadable, UnsupportedModel, ShapeMismatch, ToolMissing, ConverterFailed,
    NumericsDisagree when no way's model answers as the framework does.
    """
    importer = importer_for(source.kind, tools_root)
    cache = Cache(cache_root)
    files = importer.files(source)
    hashes = [digest.of_file(file) for file in files]
    # What code reads when it makes a model cannot be known, so what it made before is never taken for it.
    key = digest.of_json(
        {
            "version": IMPORT_VERSION,
            "kind": source.kind,
            "files": hashes,
            "inputs": {name: [list(port.shape), port.dtype] for name, port in asked.inputs.items()},
            "samples": digest.of_samples(samples),
            "tools": {**importer.tools(), "onnxruntime": version("onnxruntime")},
        }
    )
    if not source.factory:
        found = cache.find("import", key)
        if found is not None:
            return _read(found)
    told = hashes[0] if len(hashes) == 1 else digest.of_json(hashes)
    facts: dict[str, Any] = {"kind": source.kind, "name": source.name, "sha256": told if hashes else None}
    with cache.workspace() as work:
        out = work / "candidates"
        out.mkdir()
        progress(f"{source.kind} to ONNX")
        candidates = importer.to_onnx(source, asked, out, progress)
        sets = list(samples) or random_sets(inspect_model(candidates[0].model))
        progress(f"run in {source.kind}")
        own = importer.outputs(source, asked, sets, work, progress)
        best, verdict, others = _judged(source, candidates, sets, own, asked.timeout_s, work)
        facts |= {
            "exporter": best.exporter,
            "agreement": {
                "cosine_min": verdict.cosine_min,
                "rel_err_max": verdict.rel_err_max,
                "samples": verdict.samples,
            },
            "notes": [*best.notes, *others],
            "tools": dict(importer.tools()),
        }
        if source.factory:
            key = digest.of_json({"model": digest.of_file(best.model), "facts": facts})

        def fill(folder: Path) -> None:
            (folder / "model.onnx").write_bytes(best.model.read_bytes())
            (folder / _FACTS).write_text(json.dumps(facts, indent=1))

        return _read(cache.build("import", key, fill))


def random_sets(info: ModelInfo) -> list[dict[str, NDArray[Any]]]:
    """Seeded random inputs in [-1, 1] (whole numbers: 0 and 1), a batch that is open being 1."""
    import numpy as np

    rng = np.random.Generator(np.random.PCG64(20))
    sets = []
    for _ in range(_RANDOM_SETS):
        one: dict[str, NDArray[Any]] = {}
        for port in info.inputs:
            shape = [dim if isinstance(dim, int) else 1 for dim in port.shape]
            values = rng.random(shape) * 2 - 1
            one[port.name] = (values if port.dtype.startswith("float") else values > 0).astype(port.dtype)
        sets.append(one)
    return sets


def _judged(
    source: Source,
    candidates: Sequence[Candidate],
    sets: Sequence[Tensors],
    own: Sequence[Tensors],
    timeout_s: float,
    work: Path,
) -> tuple[Candidate, Verdict, list[str]]:
    """The candidate that agrees best, its verdict, and what became of the others."""
    save_sets(work / "samples.npz", sets)
    agreed: list[tuple[float, int, Candidate, Verdict]] = []
    wrong: list[str] = []
    failure: ConvertError | None = None
    for number, candidate in enumerate(candidates):
        try:
            verdict = _verdict(candidate, own, timeout_s, work)
        except (ConverterFailed, UnsupportedModel) as error:
            wrong.append(f"{candidate.exporter}: {error.message}")
            failure = failure or error
            continue
        if verdict.passed:
            agreed.append((verdict.rel_err_max, number, candidate, verdict))
        else:
            wrong.append(f"{candidate.exporter}: {verdict.reasons[0]}")
    if not agreed:
        if failure is not None and len(candidates) == 1:
            raise failure
        raise NumericsDisagree(
            f"the ONNX model of {source.name} does not answer as {source.kind} does: {'; '.join(wrong)}",
            hint="nothing was kept; export the model as ONNX yourself and deploy that",
        )
    _, _, best, verdict = min(agreed, key=lambda entry: entry[:2])
    others = [
        f"{one.exporter} agrees too: relative error {error:.2g}"
        for error, _, one, _ in agreed
        if one is not best
    ]
    return best, verdict, [*others, *(f"not taken: {line}" for line in wrong)]


def _verdict(candidate: Candidate, own: Sequence[Tensors], timeout_s: float, work: Path) -> Verdict:
    result = work / "onnx.npz"
    spec = {
        "model": str(candidate.model),
        "optimise": False,
        "samples": str(work / "samples.npz"),
        "result": str(result),
    }
    what = f"ONNX Runtime, running what {candidate.exporter} made,"
    process.call("onnxruntime", spec, what=what, cwd=work, timeout_s=timeout_s)
    return compare(own, load_sets(result), TOLERANCES["fp32"])


def _read(folder: Path) -> Imported:
    return Imported(folder / "model.onnx", json.loads((folder / _FACTS).read_text()))
