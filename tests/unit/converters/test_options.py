"""Options of a conversion: what is accepted, what is refused and how, and that defaults change nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.cli.options import parse_options
from edgeflow.config.recipe import load_recipe
from edgeflow.errors import UsageError
from edgeflow_converters.errors import UnknownTarget
from edgeflow_converters.options import OPTIONS, checked
from edgeflow_converters.precision import RUNTIMES


def test_every_row_is_of_a_runtime() -> None:
    assert set(OPTIONS) <= set(RUNTIMES)


def test_what_is_the_default_anyway_is_left_out() -> None:
    assert checked("tflite", {"engine": "onnx2tf", "xnnpack": True}) == {}
    assert checked("tflite", {"engine": "tensorflow", "xnnpack": False}) == {
        "engine": "tensorflow",
        "xnnpack": False,
    }


def test_several_values_are_a_list_or_words_with_commas() -> None:
    for given in (["v73", "v75"], ("v73", "v75"), "v73,v75", "v73,v75,v73"):
        assert checked("snpe", {"htp": given}) == {"htp": ("v73", "v75")}
    assert checked("snpe", {"htp": [], "activations": 8}) == {}
    with pytest.raises(UnknownTarget, match="option htp cannot be v60"):
        checked("snpe", {"htp": "v73,v60"})
    with pytest.raises(UnknownTarget, match="option activations cannot be 4"):
        checked("snpe", {"activations": 4})


def test_an_unknown_option_names_the_nearest() -> None:
    with pytest.raises(
        UnknownTarget, match="tflite has no option 'engin' of conversion; did you mean 'engine'"
    ):
        checked("tflite", {"engin": "tensorflow"})
    with pytest.raises(UnknownTarget, match="onnxruntime has no option 'engine'") as caught:
        checked("onnxruntime", {"engine": "tensorflow"})
    assert caught.value.hint == "its options: none"


@pytest.mark.parametrize("value", [1, 0, "true"])
def test_a_truth_value_is_no_number_and_no_text(value: int | str) -> None:
    with pytest.raises(UnknownTarget, match="option xnnpack cannot be") as caught:
        checked("tflite", {"xnnpack": value})
    assert caught.value.hint == "it takes: true, false"


def test_words_of_the_command_line() -> None:
    assert parse_options(None) == {}
    words = ["engine=tensorflow", "xnnpack=false", "bits=16", "name=a=b"]
    assert parse_options(words) == {"engine": "tensorflow", "xnnpack": False, "bits": 16, "name": "a=b"}


@pytest.mark.parametrize("words", [["engine"], ["=x"], ["engine="], ["a=1", "a=2"]])
def test_words_that_are_no_options(words: list[str]) -> None:
    with pytest.raises(UsageError, match="--option"):
        parse_options(words)


def test_a_recipe_names_options_by_runtime(tmp_path: Path) -> None:
    path = tmp_path / "edgeflow.yaml"
    text = "name: m\nmodel: m.onnx\ninputs: {x: {shape: [1]}}\nconversion: {tflite: {engine: tensorflow}}\n"
    path.write_text(text)
    assert load_recipe(path).conversion == {"tflite": {"engine": "tensorflow"}}
    path.write_text(text.replace("tflite: {engine: tensorflow}", "snpe: {activations: 16, htp: [v73, v75]}"))
    assert load_recipe(path).conversion == {"snpe": {"activations": 16, "htp": ("v73", "v75")}}
    path.write_text(text.replace("tflite", "tflit"))
    with pytest.raises(UsageError, match="unknown runtime"):
        load_recipe(path)
