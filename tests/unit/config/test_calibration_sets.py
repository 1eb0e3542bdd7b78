"""The inputs that static quantization looks at: what `calibration` in a recipe means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeflow.config.recipe import Recipe, load_recipe
from edgeflow.errors import UsageError
from edgeflow.inputs.calibration import calibration_sets

PICTURE = """
name: m
model: m.onnx
inputs:
  x: {shape: [1, 3, 1, 1], kind: image, scale: 0.1}
"""
TWO_TENSORS = """
name: m
model: m.onnx
inputs:
  a: {shape: [2]}
  b: {shape: [1]}
  state: {shape: [1], value: 7}
"""


def recipe(folder: Path, text: str) -> Recipe:
    path = folder / "edgeflow.yaml"
    path.write_text(text)
    return load_recipe(path)


def pictures(folder: Path, values: list[int]) -> None:
    folder.mkdir(parents=True)
    for value in values:
        Image.new("RGB", (1, 1), (value, value, value)).save(folder / f"{value:03}.png")


def test_a_folder_is_read_in_order_through_the_recipes_preprocessing(tmp_path: Path) -> None:
    pictures(tmp_path / "cal/dark", [10, 20])
    pictures(tmp_path / "cal/light", [200])
    (tmp_path / "cal/README.txt").write_text("where these are from")
    sets = calibration_sets(recipe(tmp_path, PICTURE + "calibration: {data: cal}\n"))
    assert [round(float(tensors["x"].max()), 4) for tensors in sets] == [1.0, 2.0, 20.0]
    assert {(tensors["x"].shape, str(tensors["x"].dtype)) for tensors in sets} == {((1, 3, 1, 1), "float32")}


def test_a_limit_leaves_out_evenly_and_not_the_last_class(tmp_path: Path) -> None:
    pictures(tmp_path / "cal", [10, 20, 30, 40, 50, 60])
    sets = calibration_sets(recipe(tmp_path, PICTURE + "calibration: {data: cal/*.png, limit: 3}\n"))
    assert [round(float(tensors["x"].max())) for tensors in sets] == [1, 3, 5]


def test_without_calibration_data_the_real_samples_serve_and_random_ones_never(tmp_path: Path) -> None:
    pictures(tmp_path / "cal", [10])
    own = recipe(tmp_path, PICTURE + "samples: [{files: {x: cal/010.png}}]\n")
    assert [float(tensors["x"].max()) for tensors in calibration_sets(own)] == [1.0]
    assert calibration_sets(recipe(tmp_path, PICTURE)) == []


def test_a_model_of_several_inputs_takes_npz_files_by_name(tmp_path: Path) -> None:
    (tmp_path / "cal").mkdir()
    a, b = np.array([1, 2], "f4"), np.array([3], "f4")
    np.savez(tmp_path / "cal/0.npz", a=a, b=b)
    np.savez(tmp_path / "cal/1.npz", a=a, b=b, state=np.array([9], "f4"))
    loaded = recipe(tmp_path, TWO_TENSORS + "calibration: {data: cal}\n")
    first, second = calibration_sets(loaded)
    assert (first["a"].tolist(), first["b"].tolist(), first["state"].tolist()) == ([1, 2], [3], [7])
    assert second["state"].tolist() == [9]
    np.savez(tmp_path / "cal/1.npz", a=a)
    with pytest.raises(UsageError, match="no array called 'b'"):
        calibration_sets(loaded)
    (tmp_path / "cal/1.npz").unlink()
    np.save(tmp_path / "cal/0.npy", a)
    with pytest.raises(UsageError, match=r"is one array.*a, b"):
        calibration_sets(loaded)


@pytest.mark.parametrize("data", ["nowhere", "cal", "cal/*.png"])
def test_data_that_is_not_there_is_named(tmp_path: Path, data: str) -> None:
    (tmp_path / "cal").mkdir()
    with pytest.raises(UsageError, match=rf"calibration\.data: .*{data.split('/')[0]}"):
        calibration_sets(recipe(tmp_path, PICTURE + f"calibration: {{data: '{data}'}}\n"))
