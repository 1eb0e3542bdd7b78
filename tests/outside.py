"""A judge of converted models that shares nothing with the gate: unseen inputs, labels, stored answers.

One cell is a model on a runtime in a precision. It is answered as a user's `edgeflow run` is, by the agent on
this machine, and judged by ONNX Runtime called here, by figures of this file, by the recipes' labels and by
stored_outputs.py. A cell may be declined, with its cause; what it may not be is accepted and wrong.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageEnhance

import stored_outputs
from edgeflow import api, zoo
from edgeflow.config.recipe import Recipe, load_recipe
from edgeflow.errors import EdgeflowError
from edgeflow.inputs.postprocess import predict
from edgeflow.inputs.preprocess import load_input
from edgeflow.inputs.samples import constant, gate_samples, real_samples
from edgeflow.workspace import Workspace

RUNTIMES = ("ncnn", "mnn", "tflite", "onnxruntime", "openvino", "paddlelite")
PRECISIONS = ("fp32", "fp16", "int8-dynamic", "int8")
NAMES = tuple(
    model.name for model in zoo.list_models(Path("/nonexistent")) if model.model_path.suffix == ".onnx"
)
"""The zoo's models that are ONNX to begin with; tests/e2e/test_sources.py has the others."""

LIMITS = {"fp32": 1e-3, "fp16": 3e-2, "int8-dynamic": 0.4, "int8": 0.4}
"""rms(a - b) / rms(b) over a whole output, at most: another figure than the gate's, on purpose."""
SMALLEST_RMS = {"fp32": 1e-3, "fp16": 1e-3, "int8-dynamic": 1e-2, "int8": 1e-2}
"""Scores that are all next to zero (a detector that sees nothing) are judged on this scale."""
ROUNDINGS = 3.0
"""Times what fp32's own rounding moves: ONNX Runtime against itself, with the graph rewritten (mlsd-tiny's
scores of noise move by 3.5e-3)."""
DECLINES = (4, 5)
"""Exit codes that mean: this model cannot be had so."""
PROBABILITY = 0.1
"""Likewise for a class's probability below fp32: 0.020 for 0.021 is nobody's wrong answer."""
UNSEEN_SEED, RANDOM_COUNT = 20_991, 2
DARKER, SHIFT = 0.85, 0.03  # of the brightness; of the width
CLEAR = 0.1
"""Of a row's range: by how much the first class must lead for another one to be a wrong answer."""

Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Question:
    """One complete input set. `stored` is its number among the recipe's samples, if it is one of them."""

    name: str
    tensors: Tensors
    label: str | None = None
    stored: int | None = None
    noise: bool = False
    """Drawn by chance: the class that 8 bits give it says nothing, its figures do."""


@dataclass
class Verdict:
    """What became of one cell. `state`: right, declined (with the cause and the exit code), wrong (accepted,
    and the answers are not the model's), or failed (neither: a tool is missing, the disk is full)."""

    state: str
    why: str = ""
    code: int = 0
    worst: float = 0.0  # over all questions and outputs, by LIMITS' figure
    stored: float = 0.0  # the worst distance from the stored answers
    labels: int = 0  # asked for, and each one right
    figures: dict[str, float] = field(default_factory=dict)


def questions(recipe: Recipe, precision: str, work: Path) -> list[Question]:
    """The recipe's own samples, the same a little changed, and random ones where those are fair: 8-bit ranges
    measured on real inputs say nothing of noise."""
    real = [
        Question(f"sample {index}", sample.tensors, sample.label, index)
        for index, sample in enumerate(real_samples(recipe))
    ]
    views = [Question(name, tensors) for name, tensors in _views(recipe, work)]
    if precision == "int8":
        return [*real, *views]
    drawn = gate_samples(recipe, seed=UNSEEN_SEED, random_count=RANDOM_COUNT)[-RANDOM_COUNT:]
    return [*real, *views, *(Question(sample.origin, sample.tensors, noise=True) for sample in drawn)]


def judge_cell(
    name: str, runtime: str, precision: str, workspace: Workspace, *, thorough: bool = True
) -> Verdict:
    """Asks one cell all its questions, or else the first and the last: a real one and one that is made up.
    Never raises for a cell that is declined."""
    model = zoo.pull(name, workspace.home)
    recipe = load_recipe(model.recipe_path)
    verdict = Verdict("right")
    complaints = []
    try:
        api.convert(f"zoo:{name}", runtime=runtime, precision=precision, output=None, workspace=workspace)
    except EdgeflowError as error:
        state = "declined" if error.exit_code in DECLINES else "failed"
        return Verdict(state, f"{error.message} ({error.hint})", error.exit_code)
    with tempfile.TemporaryDirectory() as folder:
        asked = questions(recipe, precision, Path(folder))
        for number, question in enumerate(asked if thorough else [asked[0], asked[-1]]):
            try:
                answers = _ask(name, runtime, precision, question, workspace, Path(folder) / f"{number}")
            except EdgeflowError as error:
                return Verdict("wrong", f"accepted, then {question.name}: {error.message}", error.exit_code)
            complaints += _complaints(model.model_path, recipe, precision, question, answers, verdict)
            if question.stored is not None:
                off = stored_outputs.error_of(name, question.stored, answers)
                verdict.stored = max(verdict.stored, off)
                if not off < LIMITS[precision]:
                    complaints.append(f"{question.name}: {off:.2g} from the stored answers")
    if complaints:
        verdict.state, verdict.why = "wrong", "; ".join(complaints)
    return verdict


def _ask(
    name: str, runtime: str, precision: str, question: Question, workspace: Workspace, file: Path
) -> dict[str, NDArray[Any]]:
    given, answered = file.with_suffix(".in.npz"), file.with_suffix(".out.npz")
    np.savez(given, **question.tensors)  # type: ignore[arg-type]
    request = api.DeployRequest(model=f"zoo:{name}", runtime=runtime, precision=precision)
    api.run(request, [str(given)], output=answered, workspace=workspace)
    with np.load(answered) as archive:
        return {output: archive[output] for output in archive.files}


def _complaints(
    model: Path, recipe: Recipe, precision: str, question: Question, answers: Tensors, verdict: Verdict
) -> Iterator[str]:
    """What is wrong with the answers to one question; notes the figures in `verdict`."""
    expected, again = (_answers(session_of(model, level), question.tensors) for level in ("NONE", "ALL"))
    floor = {name: _floor(recipe, precision, name, right) for name, right in expected.items()}
    wobble = {name: relative_rms(again[name], right, floor[name]) for name, right in expected.items()}
    for output, right in expected.items():
        got = answers[output]
        if got.shape != right.shape:
            yield f"{question.name}, {output}: shape {list(got.shape)}"
            continue
        figure = relative_rms(got, right, floor[output])
        verdict.figures[f"{question.name}, {output}"] = figure
        verdict.worst = max(verdict.worst, figure)
        if not figure < max(LIMITS[precision], ROUNDINGS * wobble[output]):
            yield f"{question.name}, {output}: rms of the error {figure:.2g} of the answer's"
    if recipe.task == "classification" and not (question.noise and precision.startswith("int8")):
        yield from _wrong_class(recipe, question, answers, expected, verdict)


def _floor(recipe: Recipe, precision: str, output: str, right: NDArray[Any]) -> float:
    """The smallest scale that an output is judged on."""
    answer = recipe.output or output
    if precision != "fp32" and recipe.task == "classification" and output == answer and right.min() >= 0:
        return max(SMALLEST_RMS[precision], PROBABILITY)
    return SMALLEST_RMS[precision]


def _wrong_class(
    recipe: Recipe, question: Question, answers: Tensors, expected: Tensors, verdict: Verdict
) -> Iterator[str]:
    best, first = predict(recipe, answers), predict(recipe, expected)
    assert best is not None and first is not None
    if question.label is not None and first.label == question.label:  # what fp32 misses, no product must find
        verdict.labels += 1
        if best.label != question.label:
            yield f"{question.name}: {best.label!r}, the label is {question.label!r}"
    scores = np.sort(np.asarray(expected[recipe.output or next(iter(expected))], np.float64).reshape(-1))
    clear = scores.size < 2 or scores[-1] - scores[-2] > CLEAR * (scores[-1] - scores[0])
    if clear and best.label != first.label:
        yield f"{question.name}: {best.label!r}, fp32 says {first.label!r}"


def relative_rms(got: NDArray[Any], right: NDArray[Any], smallest: float) -> float:
    """rms(got - right) / rms(right), the latter at least `smallest`."""
    difference = got.astype(np.float64) - right
    return _rms(difference) / max(_rms(right), smallest)


def _rms(values: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def _answers(session: onnxruntime.InferenceSession, tensors: Tensors) -> dict[str, NDArray[Any]]:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(tensors)), strict=True))


@cache
def session_of(model: Path, level: str) -> onnxruntime.InferenceSession:
    """The source model in ONNX Runtime: as it is (NONE), or with its graph rewritten (ALL)."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_DISABLE_ALL if level == "NONE" else levels.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])


def _views(recipe: Recipe, work: Path) -> Iterator[tuple[str, Tensors]]:
    """Each real sample, darker and moved aside (pictures), or fainter and later (tensors)."""
    for index, sample in enumerate(recipe.samples):
        tensors = {}
        for name, spec in recipe.inputs.items():
            if name not in sample.files:
                tensors[name] = constant(spec)
                continue
            path = recipe.file(sample.files[name], f"samples.{index}.files.{name}")
            if spec.kind == "image":
                with Image.open(path) as opened:
                    picture = ImageEnhance.Brightness(opened.convert("RGB")).enhance(DARKER)
                moved = ImageChops.offset(picture, round(SHIFT * picture.width), 0)
                moved.save(work / "view.png")
                tensors[name] = load_input(spec, work / "view.png", name)
            else:
                kept = load_input(spec, path, name)
                tensors[name] = np.roll(kept, 1, axis=-1) * kept.dtype.type(DARKER)
        yield f"view of sample {index}", tensors
