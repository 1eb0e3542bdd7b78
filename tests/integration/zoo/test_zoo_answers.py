"""Every zoo model, by its recipe's own preprocessing, gives the right answer on its real samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from edgeflow import zoo
from edgeflow.config.recipe import Recipe, load_recipe
from edgeflow.inputs.postprocess import predict
from edgeflow.inputs.samples import real_samples

pytestmark = pytest.mark.network


class Reference:
    """One pulled model in ONNX Runtime."""

    def __init__(self, name: str, home: Path) -> None:
        model = zoo.pull(name, home)
        self.recipe: Recipe = load_recipe(model.recipe_path)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            model.model_path, options, providers=["CPUExecutionProvider"]
        )

    def outputs(self) -> list[dict[str, Any]]:
        """The outputs of each real sample, by name."""
        names = [output.name for output in self.session.get_outputs()]
        samples = real_samples(self.recipe)
        return [
            dict(zip(names, self.session.run(None, dict(sample.tensors)), strict=True)) for sample in samples
        ]


@pytest.mark.parametrize("name", ["pplcnet-orientation", "ppocr-cls", "mtcnn-onet", "silero-vad"])
def test_classifiers_give_every_samples_label(name: str, zoo_home: Path) -> None:
    reference = Reference(name, zoo_home)
    labels = [sample.label for sample in reference.recipe.samples]
    predictions = [predict(reference.recipe, outputs) for outputs in reference.outputs()]
    assert len(set(labels)) >= 2
    assert [found.label if found else None for found in predictions] == labels
    assert all(found and found.score > 0.9 for found in predictions)


def test_ppocr_rec_reads_the_line(zoo_home: Path) -> None:
    reference = Reference("ppocr-rec", zoo_home)
    metadata = reference.session.get_modelmeta().custom_metadata_map
    characters = ["", *metadata["character"].splitlines(), " "]
    (outputs,) = reference.outputs()
    best = outputs["softmax_11.tmp_0"][0].argmax(axis=1)
    text = "".join(characters[c] for i, c in enumerate(best) if i == 0 or c != best[i - 1])
    assert text == reference.recipe.samples[0].label == "edge device 2026"


def test_ppocr_det_finds_the_three_lines(zoo_home: Path) -> None:
    (outputs,) = Reference("ppocr-det", zoo_home).outputs()
    rows = (outputs["sigmoid_0.tmp_0"][0, 0] > 0.3).any(axis=1).astype(int)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], rows, [0]])))
    centres = edges.reshape(-1, 2).mean(axis=1)
    np.testing.assert_allclose(centres, [60, 161, 265], atol=4)


def test_picodet_sees_text_and_the_table(zoo_home: Path) -> None:
    reference = Reference("picodet-layout", zoo_home)
    (outputs,) = reference.outputs()
    levels = [outputs[f"transpose_{level}.tmp_0"][0] for level in (0, 2, 4, 6)]
    best = np.concatenate(levels).max(axis=0)
    scores = dict(zip(reference.recipe.label_names(), best, strict=True))
    assert min(scores["text"], scores["table"]) > 0.9
    assert max(scores["figure"], scores["equation"]) < 0.5


def test_blazeface_tells_a_face_from_a_cup(zoo_home: Path) -> None:
    face, cup = (
        1 / (1 + np.exp(-max(outputs["Identity:0"].max(), outputs["Identity_1:0"].max())))
        for outputs in Reference("blazeface", zoo_home).outputs()
    )
    assert face > 0.9
    assert cup < 0.4


def test_mlsd_finds_the_windows_bars(zoo_home: Path) -> None:
    (outputs,) = Reference("mlsd-tiny", zoo_home).outputs()
    scores = outputs["scores"][0, :, :, 0]
    # The window's frame is (40, 60) to (280, 260); a segment scores at its centre, on half the grid.
    for x, y in ((280, 160), (40, 160), (160, 260), (160, 160)):
        row, column = y // 2, x // 2
        assert scores[row - 2 : row + 3, column - 2 : column + 3].max() > 0.5, (x, y)
    assert scores[:, :10].max() < 0.1
