"""The inputs that judge a model, and reading its answer."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow.config.recipe import Recipe, load_recipe
from edgeflow.errors import NumericsError, UsageError
from edgeflow.inputs.postprocess import predict
from edgeflow.inputs.samples import gate_samples, samples_for

MIXED = """
name: m
model: m.onnx
inputs:
  image: {shape: [1, 3, 16, 16], kind: image, scale: 0.00392156862745098, mean: 0.5, std: 0.25}
  wide: {shape: [1, 1, 4, 4], kind: image, color: GRAY, range: [-3, 5]}
  vector: {shape: [64]}
  state: {shape: [2, 3], range: [10, 20], value: 0.5}
  ids: {shape: [200], dtype: int64, range: [5, 7]}
  flags: {shape: [100], dtype: bool}
"""


def recipe(folder: Path, text: str) -> Recipe:
    path = folder / "edgeflow.yaml"
    path.write_text(text)
    return load_recipe(path)


def digest(tensors: Any) -> str:
    return hashlib.sha256(b"".join(tensors[name].tobytes() for name in sorted(tensors))).hexdigest()


def test_random_samples_have_the_inputs_shapes_types_and_ranges(tmp_path: Path) -> None:
    loaded = recipe(tmp_path, MIXED)
    samples = gate_samples(loaded, random_count=4)
    assert len(samples) == 4
    for sample in samples:
        assert {n: (a.shape, a.dtype) for n, a in sample.tensors.items()} == {
            n: (s.shape, np.dtype(s.dtype)) for n, s in loaded.inputs.items()
        }
        assert -2.0 <= sample.tensors["image"].min() < sample.tensors["image"].max() <= 2.0
        assert -3 <= sample.tensors["wide"].min() < sample.tensors["wide"].max() <= 5
        assert -1 <= sample.tensors["vector"].min() < -0.7 < 0.7 < sample.tensors["vector"].max() <= 1
        assert 10 <= sample.tensors["state"].min() < sample.tensors["state"].max() <= 20
        assert set(sample.tensors["ids"].tolist()) == {5, 6, 7}
        assert set(sample.tensors["flags"].tolist()) == {False, True}


def test_random_samples_are_the_same_everywhere_and_differ_by_seed_and_index(tmp_path: Path) -> None:
    loaded = recipe(tmp_path, MIXED)
    first = [digest(sample.tensors) for sample in gate_samples(loaded)]
    assert first == [digest(sample.tensors) for sample in gate_samples(loaded)]
    assert len({*first, *(digest(sample.tensors) for sample in gate_samples(loaded, seed=1))}) == 6


def test_random_samples_equal_the_stored_ones(tmp_path: Path) -> None:
    """A change of machine, numpy or code that alters the inputs of every verdict is seen here."""
    samples = gate_samples(recipe(tmp_path, MIXED))
    stored = np.array([-0.4259239435195923, 0.06347253173589706, 0.5841031074523926], dtype=np.float32)
    np.testing.assert_array_equal(samples[0].tensors["vector"][:3], stored)
    images = [hashlib.sha256(sample.tensors["image"].tobytes()).hexdigest()[:16] for sample in samples]
    assert images[:2] == ["ef091dfb2925d4d5", "5032a8c73fad692a"]


def test_images_alternate_between_smooth_and_noisy(tmp_path: Path) -> None:
    def roughness(sample: Any) -> float:
        image = sample.tensors["image"]
        return float(np.abs(np.diff(image, axis=-1)).mean() / image.std())

    rough = [roughness(sample) for sample in gate_samples(recipe(tmp_path, MIXED), random_count=4)]
    assert max(rough[0], rough[2]) < 0.6 < min(rough[1], rough[3])


def test_real_samples_come_first_with_their_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([1, 2], np.float32))
    loaded = recipe(
        tmp_path,
        "name: m\nmodel: m\ninputs:\n  x: {shape: [2]}\n  s: {shape: [3], value: 0.5}\n"
        "samples: [{files: {x: a.npy}, label: one}]\n",
    )
    samples = gate_samples(loaded, random_count=1)
    assert [(sample.origin, sample.label) for sample in samples] == [
        ("a.npy", "one"),
        ("random 0, seed 0", None),
    ]
    np.testing.assert_array_equal(samples[0].tensors["x"], [1, 2])
    np.testing.assert_array_equal(samples[0].tensors["s"], [0.5] * 3)
    (tmp_path / "a.npy").unlink()
    with pytest.raises(UsageError, match=r"edgeflow.yaml: samples.0.files.x: .*a\.npy: no such file"):
        gate_samples(loaded)


def pictures_and_recipe(folder: Path) -> Recipe:
    random = np.random.default_rng(3)
    for index in range(2):
        np.savez(folder / f"{index}.npz", v=random.normal(size=8).astype("f4") * (1 + 9 * index))
    return recipe(
        folder,
        "name: m\nmodel: m.onnx\ninputs:\n  v: {shape: [8]}\n  n: {shape: [2], dtype: int64, value: 3}\n"
        "samples: [{files: {v: 0.npz}, label: a}, {files: {v: 1.npz}}]\n",
    )


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8-dynamic"])
def test_other_precisions_are_judged_by_random_inputs_too(tmp_path: Path, precision: str) -> None:
    loaded = pictures_and_recipe(tmp_path)
    found, all_of_them = samples_for(loaded, precision), gate_samples(loaded)
    assert [sample.origin for sample in found] == [sample.origin for sample in all_of_them]
    assert [digest(a.tensors) for a in found] == [digest(b.tensors) for b in all_of_them]


def test_int8_is_judged_by_real_inputs_and_unseen_ones_near_them(tmp_path: Path) -> None:
    loaded = pictures_and_recipe(tmp_path)
    first, second, *near = samples_for(loaded, "int8")
    assert (first.label, first.origin, second.origin) == ("a", "0.npz", "1.npz")
    assert [sample.origin for sample in near] == ["near 0.npz, 0", "near 1.npz, 1", "near 0.npz, 2"]
    assert len({digest(sample.tensors) for sample in (first, second, *near)}) == 5
    for sample, real in zip(near, (first, second, first), strict=True):
        old, new = real.tensors["v"], sample.tensors["v"]
        assert new.dtype == old.dtype and sample.label is None
        assert 0 < np.abs(new - old).max() <= 0.05 * float(np.ptp(old)) * (1 + 1e-6)
        assert old.min() <= new.min() and new.max() <= old.max()
        assert np.array_equal(sample.tensors["n"], real.tensors["n"])


def test_near_inputs_are_the_same_every_time(tmp_path: Path) -> None:
    loaded = pictures_and_recipe(tmp_path)
    first, again = ([digest(sample.tensors) for sample in samples_for(loaded, "int8")] for _ in range(2))
    assert first == again


def test_int8_without_real_inputs_is_judged_by_random_ones(tmp_path: Path) -> None:
    loaded = recipe(tmp_path, MIXED)
    assert [s.origin for s in samples_for(loaded, "int8")] == [s.origin for s in gate_samples(loaded)]


def test_no_samples_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no samples"):
        gate_samples(recipe(tmp_path, MIXED), random_count=0)


CLASSIFIER = "name: m\nmodel: m\ninputs: {x: {shape: [2]}}\ntask: classification\n"


def answer(folder: Path, keys: str, outputs: dict[str, Any]) -> Any:
    arrays = {name: np.array(values, dtype=np.float32) for name, values in outputs.items()}
    return predict(recipe(folder, CLASSIFIER + keys), arrays)


def test_probabilities_stay_and_logits_get_softmax(tmp_path: Path) -> None:
    sure = answer(tmp_path, "labels: [a, b]\n", {"y": [[0.25, 0.75]]})
    assert (sure.label, sure.index) == ("b", 1)
    assert sure.score == pytest.approx(0.75)
    logits = answer(tmp_path, "labels: [a, b, c]\n", {"y": [[1000.0, 999.0, 0.0]]})
    assert logits.label == "a"
    assert logits.score == pytest.approx(1 / (1 + np.exp(-1.0)))
    assert answer(tmp_path, "", {"y": [[0.1, 0.2, 0.1]]}).score == pytest.approx(0.3560, abs=1e-4)


def test_the_named_output_is_read(tmp_path: Path) -> None:
    outputs = {"boxes": [[9.0, 1.0]], "scores": [[0.0, 1.0]]}
    assert answer(tmp_path, "output: scores\n", outputs).label == "1"
    assert answer(tmp_path, "", outputs).label == "0"
    with pytest.raises(UsageError, match="'score' is not among the outputs: boxes, scores"):
        answer(tmp_path, "output: score\n", outputs)


def test_one_probability_with_two_labels(tmp_path: Path) -> None:
    yes = answer(tmp_path, "labels: [other, speech]\n", {"y": [[0.9]]})
    assert (yes.label, round(yes.score, 3)) == ("speech", 0.9)
    no = answer(tmp_path, "labels: [other, speech]\n", {"y": [[0.2]]})
    assert (no.label, round(no.score, 3)) == ("other", 0.8)
    with pytest.raises(UsageError, match="not a probability"):
        answer(tmp_path, "labels: [other, speech]\n", {"y": [[3.0]]})


@pytest.mark.parametrize(
    ("keys", "values", "error"),
    [
        ("labels: [a, b]\n", [[0.1, 0.2, 0.7]], UsageError),
        ("", [[0.1, np.nan]], NumericsError),
        ("", [[0.1, np.inf]], NumericsError),
        ("", [[[0.1, 0.2], [0.3, 0.4]]], UsageError),
    ],
)
def test_no_answer_is_made_up(tmp_path: Path, keys: str, values: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        answer(tmp_path, keys, {"y": values})


def test_other_tasks_have_no_prediction(tmp_path: Path) -> None:
    loaded = recipe(tmp_path, CLASSIFIER.replace("classification", "detection"))
    assert predict(loaded, {"y": np.zeros((1, 2))}) is None
