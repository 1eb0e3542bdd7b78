"""Judged from outside the gate: inputs that it has not seen, labels, stored answers (outside.py).

Here are cells and questions that take seconds, most of the cells converted for other tests too;
`python tests/zoo_matrix.py` asks the whole zoo on all runtimes in all precisions, and docs/status.md has what
it found.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import outside
import stored_outputs
from edgeflow import zoo
from edgeflow.config.recipe import load_recipe
from edgeflow.inputs.samples import real_samples
from edgeflow.workspace import Workspace

NCNN = [(name, "ncnn", precision) for name in outside.NAMES for precision in ("fp32", "fp16")]
OTHERS = [
    ("mtcnn-onet", "mnn", "fp32"),
    ("silero-vad", "mnn", "fp16"),
    ("ppocr-cls", "tflite", "fp32"),
    ("mtcnn-onet", "onnxruntime", "int8-dynamic"),
    ("silero-vad", "openvino", "fp32"),
    ("pplcnet-orientation", "openvino", "int8"),
    ("pplcnet-orientation", "ncnn", "int8"),
]
DECLINED = {("mlsd-tiny", "ncnn", "fp16")}

pytestmark = [pytest.mark.network, pytest.mark.timeout(900)]  # the first use of tflite installs 670 MB


@pytest.mark.parametrize(("name", "runtime", "precision"), [*NCNN, *OTHERS])
def test_a_cell_is_right_or_declined(
    warm_home: Path, tmp_path: Path, name: str, runtime: str, precision: str
) -> None:
    verdict = outside.judge_cell(name, runtime, precision, Workspace(warm_home, tmp_path), thorough=False)
    expected = "declined" if (name, runtime, precision) in DECLINED else "right"
    assert verdict.state == expected, verdict.why


@pytest.mark.parametrize("name", ["mtcnn-onet", "silero-vad"])
def test_stored_answers_tell_a_wrong_output(warm_home: Path, name: str) -> None:
    """ONNX Runtime still gives what was stored; outputs that are 1 % off, or another sample's, are seen."""
    model = zoo.pull(name, warm_home)
    samples = real_samples(load_recipe(model.recipe_path))
    session = outside.session_of(model.model_path, "NONE")
    names = [output.name for output in session.get_outputs()]
    first, second = (
        dict(zip(names, session.run(names, dict(sample.tensors)), strict=True)) for sample in samples[:2]
    )
    assert stored_outputs.error_of(name, 0, first) < 1e-5
    assert stored_outputs.error_of(name, 0, {key: 1.01 * value for key, value in first.items()}) > 5e-3
    assert stored_outputs.error_of(name, 0, second) > 0.1
    assert np.isinf(stored_outputs.error_of(name, 0, {key: np.zeros(3) for key in first}))
