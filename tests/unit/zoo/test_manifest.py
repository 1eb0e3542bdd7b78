"""The manifest, and the recipes and samples that ship with it."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import pytest

from edgeflow.config.recipe import load_recipe
from edgeflow.errors import UsageError
from edgeflow.inputs.samples import real_samples
from edgeflow.zoo import demo_model, list_models, path
from edgeflow.zoo.manifest import bundled_files, manifest

NAMES = sorted(manifest().models)

MAX_BUNDLED_BYTES = 40_000


def test_the_zoo_lists_its_models_without_any_cache(tmp_path: Path) -> None:
    models = list_models(tmp_path)
    assert [model.name for model in models] == [
        "blazeface",
        "efficientnet-lite0",
        "fer",
        "mlsd-tiny",
        "mtcnn-onet",
        "picodet-layout",
        "pplcnet-orientation",
        "ppocr-cls",
        "ppocr-cls-paddle",
        "ppocr-det",
        "ppocr-rec",
        "silero-vad",
    ]
    assert not any(model.pulled for model in models)
    assert all(model.licence and model.summary for model in models)
    assert list(tmp_path.iterdir()) == []
    assert demo_model() in NAMES


def test_unknown_and_unpulled_models(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown zoo model 'silero': did you mean 'silero-vad'"):
        path("silero", tmp_path)
    with pytest.raises(UsageError, match="'silero-vad' is not pulled") as caught:
        path("silero-vad", tmp_path)
    assert "edgeflow zoo pull silero-vad" in caught.value.hint


@pytest.mark.parametrize("name", NAMES)
def test_every_model_ships_a_recipe_with_a_real_sample(name: str, tmp_path: Path) -> None:
    bundled = bundled_files(name)
    for file_name, content in bundled.items():
        assert len(content) <= MAX_BUNDLED_BYTES, file_name
        (tmp_path / file_name).write_bytes(content)
    recipe = load_recipe(tmp_path / "recipe.yaml")
    assert recipe.name == name
    assert recipe.samples
    named = {file for sample in recipe.samples for file in sample.files.values()}
    fetched = {sample.file for sample in manifest().models[name].samples}
    if recipe.calibration is not None:
        named |= set(fnmatch.filter(fetched, recipe.calibration.data))
    if isinstance(recipe.labels, str):
        named.add(recipe.labels)
    assert named == set(bundled) - {"recipe.yaml"} | fetched
    if not fetched:
        assert len(real_samples(recipe)) == len(recipe.samples)
