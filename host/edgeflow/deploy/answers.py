"""`edgeflow run`: inputs from files, answers from a device."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow.deploy import pipeline
from edgeflow.deploy.request import DeployRequest
from edgeflow.errors import UsageError
from edgeflow.files import write_atomic
from edgeflow.inputs.postprocess import is_probability, predict, softmax
from edgeflow.inputs.preprocess import load_input

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeflow.config.recipe import Recipe
    from edgeflow.progress import Progress
    from edgeflow.workspace import Workspace
    from edgeflow_converters.tensors import Tensors

_TOP = 5


def run_document(
    request: DeployRequest,
    inputs: Sequence[str],
    output: Path | None,
    workspace: Workspace,
    progress: Progress,
) -> dict[str, Any]:
    """The answers of one run (schema edgeflow.run/1): prediction where the recipe says what outputs mean,
    and every output's shape and range; all values go to `output` (.npz) if given.
    """
    model = pipeline.resolve_for(request, workspace, progress)
    tensors = load_inputs(model.recipe, inputs, workspace.cwd)
    outputs = pipeline.run(request, model, tensors, workspace, progress)
    if output is not None:
        _write_npz(output, outputs)
    return {
        "schema": "edgeflow.run/1",
        "model": model.name,
        "device": request.device,
        "runtime": request.runtime,
        "precision": request.precision,
        "prediction": _prediction(model.recipe, outputs),
        "outputs": [_summary(name, array) for name, array in outputs.items()],
        "output_file": None if output is None else str(output),
    }


def load_inputs(recipe: Recipe, inputs: Sequence[str], cwd: Path) -> dict[str, NDArray[Any]]:
    """One complete input set from FILE, NAME=FILE, or one .npz that holds all inputs by name.

    Raises UsageError naming the input that is missing, unknown, given twice or does not fit.
    """
    import numpy as np

    files = _files_by_input(recipe, inputs, cwd)
    tensors: dict[str, NDArray[Any]] = {}
    for name, spec in recipe.inputs.items():
        if name in files:
            tensors[name] = load_input(spec, files[name], name)
        elif spec.value is not None:
            tensors[name] = np.full(spec.shape, spec.value, dtype=spec.dtype)
        else:
            raise UsageError(
                f"no file for input '{name}'", hint=f"give --input {name}=FILE (image, .npy or .npz)"
            )
    return tensors


def _files_by_input(recipe: Recipe, inputs: Sequence[str], cwd: Path) -> dict[str, Path]:
    needed = [name for name, spec in recipe.inputs.items() if spec.value is None]
    files: dict[str, Path] = {}
    for text in inputs:
        name, equals, file = text.partition("=")
        if equals and name in recipe.inputs:
            pairs = {name: cwd / file}
        elif equals and not (cwd / text).exists():
            raise UsageError(f"--input {text}: no input '{name}'; the inputs are: {', '.join(recipe.inputs)}")
        elif Path(text).suffix == ".npz":
            pairs = dict.fromkeys(_inputs_in(cwd / text, recipe) or needed, cwd / text)
        elif len(needed) == 1:
            pairs = {needed[0]: cwd / text}
        else:
            raise UsageError(
                f"--input {text}: the model has several inputs ({', '.join(needed)})",
                hint="write NAME=FILE for each",
            )
        for input_name, path in pairs.items():
            if input_name in files:
                raise UsageError(f"--input {text}: input '{input_name}' is given twice")
            files[input_name] = path
    return files


def _inputs_in(path: Path, recipe: Recipe) -> list[str]:
    """The inputs that an .npz holds by name; none of a file that is no archive: load_input says so."""
    import zipfile

    if not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as archive:
        held = {member.removesuffix(".npy") for member in archive.namelist()}
    return [name for name in recipe.inputs if name in held]


def _prediction(recipe: Recipe, outputs: Tensors) -> dict[str, Any] | None:
    import numpy as np

    best = predict(recipe, outputs)
    if best is None:
        return None
    scores = np.asarray(outputs[recipe.output or next(iter(outputs))], dtype=np.float64).reshape(-1)
    labels = recipe.label_names()
    top: list[Mapping[str, Any]] = [{"label": best.label, "score": best.score}]
    if scores.size > 1:
        probabilities = scores if is_probability(scores) else softmax(scores)
        order = np.argsort(-probabilities, kind="stable")[:_TOP]
        top = [
            {"label": labels[index] if labels else str(index), "score": float(probabilities[index])}
            for index in order
        ]
    return {"label": best.label, "score": best.score, "top": top}


def _summary(name: str, array: NDArray[Any]) -> dict[str, Any]:
    import numpy as np

    finite = array[np.isfinite(array)]
    return {
        "name": name,
        "shape": list(array.shape),
        "dtype": array.dtype.name,
        "min": float(finite.min()) if finite.size else None,
        "mean": float(finite.mean()) if finite.size else None,
        "max": float(finite.max()) if finite.size else None,
        "not_finite": int(array.size - finite.size),
    }


def _write_npz(output: Path, outputs: Tensors) -> None:
    import numpy as np

    if output.suffix != ".npz":
        raise UsageError(f"--output {output}: expected a file name that ends in .npz")
    buffer = io.BytesIO()
    # Output names are any text; savez takes them as keywords, "file" among them is its own.
    np.savez(buffer, **{("file_" if name == "file" else name): array for name, array in outputs.items()})  # type: ignore[arg-type]
    write_atomic(output, buffer.getvalue())
