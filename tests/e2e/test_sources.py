"""Models of other frameworks through the whole command line: made into ONNX that answers as the framework
does, deployed on several runtimes, and told in one line where they cannot be read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from edgeflow import zoo
from edgeflow.config.recipe import load_recipe
from edgeflow.inputs.samples import gate_samples
from edgeflow_converters.sources.base import Asked, InputShape, Source
from edgeflow_converters.sources.importing import import_model

pytestmark = [pytest.mark.network, pytest.mark.timeout(900)]  # the first use installs 270 MB

Cli = Callable[..., Any]
CELLS = [
    *(("ppocr-cls-paddle", runtime) for runtime in ("ncnn", "mnn", "onnxruntime", "paddlelite")),
    *(("fer", runtime) for runtime in ("ncnn", "mnn", "tflite")),
]
AGREE = {"ppocr-cls-paddle": 1e-5, "fer": 1e-5}
"""Relative error against the framework's own answers, at most."""


@pytest.mark.parametrize(("name", "runtime"), CELLS)
def test_a_framework_s_model_is_deployed(edgeflow: Cli, name: str, runtime: str) -> None:
    done = edgeflow("deploy", f"zoo:{name}", "-r", runtime, "--budget-s", "0.3", "--json")
    assert done.code == 0, done.err
    result = done.document
    assert result["numerics"]["verdict"] == "pass"
    if result["prediction"] is not None:
        assert result["prediction"]["label"] == result["prediction"]["expected"]
    converted = edgeflow("convert", f"zoo:{name}", "-r", runtime, "--json").document
    assert converted["cached"]
    assert converted["source"]["agreement"]["rel_err_max"] < AGREE[name]


def imported(name: str, home: Path) -> Path:
    """The ONNX model of a zoo model, made with its recipe's shapes and samples as deploy does."""
    model = zoo.pull(name, home)
    recipe = load_recipe(model.recipe_path)
    kind = {".pdmodel": "paddle"}[model.model_path.suffix]
    inputs = {key: InputShape(spec.shape, spec.dtype) for key, spec in recipe.inputs.items()}
    samples = [sample.tensors for sample in gate_samples(recipe)]
    asked = Asked(inputs=inputs)
    return import_model(
        Source(kind, model.model_path), asked, home / "cache", home / "tools", lambda phase: None,
        samples=samples,
    ).model  # fmt: skip


def test_a_paddle_program_answers_as_its_makers_onnx_does(warm_home: Path) -> None:
    """PP-OCR's makers published the same network twice; neither file was written here."""
    ours = onnxruntime.InferenceSession(imported("ppocr-cls-paddle", warm_home))
    theirs = onnxruntime.InferenceSession(zoo.pull("ppocr-cls", warm_home).model_path)
    for seed in range(3):
        x = np.random.default_rng(seed).random((1, 3, 48, 192), np.float32) * 2 - 1
        np.testing.assert_allclose(ours.run(None, {"x": x})[0], theirs.run(None, {"x": x})[0], atol=1e-5)


@pytest.fixture
def program(warm_home: Path, tmp_path: Path) -> Path:
    """The two files of a Paddle program, in a folder of their own and without a recipe."""
    model = zoo.pull("ppocr-cls-paddle", warm_home).model_path
    for suffix in (".pdmodel", ".pdiparams"):
        shutil.copy(model.with_suffix(suffix), tmp_path / f"m{suffix}")
    return tmp_path / "m.pdmodel"


def test_a_program_without_a_recipe_is_told_its_shape(edgeflow: Cli, program: Path) -> None:
    refused(edgeflow("convert", program, "-r", "ncnn"), 2, "'x' is ?x3x?x?", "--shape x=")
    refused(edgeflow("convert", program, "-r", "ncnn", "--shape", "1x4x48x192"), 2, "no input 'input'", "x")
    refused(
        edgeflow("convert", program, "-r", "ncnn", "--shape", "x=1x4x48x192"), 2, "?x3x?x?, not 1x4x48x192"
    )
    done = edgeflow("convert", program, "-r", "onnxruntime", "--shape", "x=1x3x48x192", "--json")
    assert done.code == 0, done.err
    assert done.document["source"]["kind"] == "paddle"


@pytest.mark.parametrize(
    ("victim", "keep", "words"),
    [
        (".pdmodel", 0.5, "m.pdmodel is no Paddle program, or is cut"),
        (".pdmodel", 0, "m.pdmodel is empty"),
        (".pdiparams", 0.9, "m.pdiparams is cut"),
        (".pdiparams", None, "no m.pdiparams beside it"),
    ],
)
def test_a_damaged_program_is_told(
    edgeflow: Cli, program: Path, victim: str, keep: float | None, words: str
) -> None:
    file = program.with_suffix(victim)
    content = file.read_bytes()
    file.unlink() if keep is None else file.write_bytes(content[: int(len(content) * keep)])
    refused(edgeflow("deploy", program, "-r", "ncnn", "--shape", "x=1x3x48x192"), 4, words)


def refused(done: Any, code: int, *words: str) -> None:
    """The command ended with `code` and one error line; its words are all there."""
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    assert done.error_line
    for word in words:
        assert word in done.err, done.err
