"""A model that is made of weights, judged by the labels of photographs: nothing here computed those."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from edgeflow import zoo
from edgeflow.config.recipe import load_recipe
from edgeflow.inputs.calibration import calibration_sets

# By PyTorch, the same weights name 17 of foolbox's 20 photographs right, and all among the first five.
TOP1, TOP5 = 8, 10


@pytest.mark.network
def test_efficientnet_lite0_names_what_is_on_photographs(warm_home: Path) -> None:
    model = zoo.pull("efficientnet-lite0", warm_home)
    labels = [int(path.stem.rpartition("-")[2]) for path in sorted(model.folder.glob("photo-*.jpg"))]
    session = onnxruntime.InferenceSession(model.model_path, providers=["CPUExecutionProvider"])
    sets = calibration_sets(load_recipe(model.recipe_path))
    assert len(sets) == len(labels) == 10
    ranked = [np.argsort(-session.run(None, inputs)[0][0]) for inputs in sets]
    assert sum(order[0] == label for order, label in zip(ranked, labels, strict=True)) >= TOP1
    assert sum(label in order[:5] for order, label in zip(ranked, labels, strict=True)) == TOP5
