"""Judged from outside the gate: inputs that it has not seen, ONNX Runtime called by the test itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from edgeflow import zoo
from edgeflow.config.recipe import load_recipe
from edgeflow.inputs.samples import gate_samples

# rms(a - b) / rms(b) over a whole output: another figure than the gate's, on purpose. Scores that are all
# next to zero (a detector that sees nothing) are judged on the scale of one in a thousand.
LIMITS = {"fp32": 1e-3, "fp16": 3e-2}
SMALLEST_RMS = 1e-3
UNSEEN_SEED = 20_991
# benchmarks/int8_accuracy.py judges this one, by photographs.
NAMES = [m.name for m in zoo.list_models(Path("/nonexistent")) if m.name != "efficientnet-lite0"]


@pytest.mark.network
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("name", NAMES)
def test_unseen_inputs_agree(
    edgeflow: Callable[..., Any], warm_home: Path, tmp_path: Path, name: str, precision: str
) -> None:
    model = zoo.pull(name, warm_home)
    recipe = load_recipe(model.recipe_path)
    sample = gate_samples(recipe, seed=UNSEEN_SEED, random_count=1)[-1]
    np.savez(tmp_path / "x.npz", **sample.tensors)
    out = tmp_path / "y.npz"
    done = edgeflow("run", f"zoo:{name}", "-r", "ncnn", "-p", precision, "-i", tmp_path / "x.npz", "-o", out)
    if done.code in (4, 5):
        pytest.skip(f"declined with a diagnosis: {done.error_line}")
    assert done.code == 0, done.err
    session = onnxruntime.InferenceSession(model.model_path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    expected = dict(zip(names, session.run(names, dict(sample.tensors)), strict=True))
    actual = np.load(out)
    for output, b in expected.items():
        a = actual[output]
        assert a.shape == b.shape
        rms = float(np.sqrt(np.mean(np.square(b, dtype=np.float64))))
        error = float(np.sqrt(np.mean(np.square(a.astype(np.float64) - b)))) / max(rms, SMALLEST_RMS)
        assert error < LIMITS[precision], f"{output}: {error}"
