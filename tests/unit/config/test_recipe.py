"""Model recipes: what loads, what is refused, and the default of a bare model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edgeflow.config.recipe import Recipe, load_recipe, recipe_for_model
from edgeflow.config.starter import render_recipe
from edgeflow.errors import UsageError

BASE = "name: m\nmodel: m.onnx\ninputs:\n  x: {shape: [1, 3, 8, 8], kind: image}\n"


@dataclass(frozen=True)
class Tensor:
    name: str
    dtype: str
    shape: tuple[int | str | None, ...]


@dataclass(frozen=True)
class Info:
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)


def recipe(folder: Path, text: str) -> Recipe:
    path = folder / "edgeflow.yaml"
    path.write_text(text)
    return load_recipe(path)


def test_paths_start_from_the_recipes_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "names.txt").write_text("cat\ndog\n")
    (folder / "edgeflow.yaml").write_text(BASE + "labels: names.txt\n")
    monkeypatch.chdir(tmp_path)
    loaded = load_recipe(Path("model/edgeflow.yaml"))
    monkeypatch.chdir(folder)
    assert loaded.label_names() == ("cat", "dog")
    with pytest.raises(UsageError, match=r"samples: .*absent\.png: no such file"):
        loaded.file("absent.png", "samples")


def test_the_example_of_the_documentation_loads(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "recipe.md").read_text()
    loaded = recipe(tmp_path, text.split("```yaml\n")[1].split("```")[0])
    assert loaded.inputs["x"].resize.short_side == 256


def test_labels_keep_their_text(tmp_path: Path) -> None:
    loaded = recipe(tmp_path, BASE + 'labels: [0, 90, no, off, "1.50", 010]\n')
    assert loaded.label_names() == ("0", "90", "no", "off", "1.50", "010")


@pytest.mark.parametrize("content", ["cat\n\ndog\n", b"\xff\xfe", ""])
def test_a_bad_labels_file_is_named(tmp_path: Path, content: str | bytes) -> None:
    (tmp_path / "names.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=r"names\.txt"):
        recipe(tmp_path, BASE + "labels: names.txt\n").label_names()


def replaced(old: str, new: str) -> str:
    assert old in BASE
    return BASE.replace(old, new)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (replaced("kind", "knd"), "4: inputs.x.knd: unknown key; did you mean 'kind'?"),
        (replaced("image", "picture"), "4: inputs.x.kind: expected one of image, tensor, got 'picture'"),
        (replaced("8, 8]", "8, n]"), "4: inputs.x.shape.3: expected a whole number, got 'n'"),
        (replaced("8, 8]", "8, -1]"), "4: inputs.x.shape.3: expected more than 0, got -1"),
        (
            replaced("[1, 3, 8, 8]", "[3, 8, 8]"),
            "4: inputs.x.shape: an image input has 4 dimensions (NCHW), got 3",
        ),
        (replaced("[1,", "[2,"), "4: inputs.x.shape.0: an image input has batch size 1, got 2"),
        (
            replaced("3, 8, 8", "8, 8, 3"),
            "4: inputs.x.shape: layout NCHW puts the channels at position 1, which is 8",
        ),
        (
            replaced("image}", "image, layout: NHWC}"),
            "4: inputs.x.layout: layout NHWC puts the channels at position 3",
        ),
        (replaced("image}", "image, color: GRAY}"), "4: inputs.x.shape: layout NCHW puts"),
        (
            replaced("image}", "image, mean: [1, 2]}"),
            "4: inputs.x.mean: expected 1 or 3 numbers (color RGB), got 2",
        ),
        (replaced("image}", "image, std: [1, 0, 1]}"), "4: inputs.x.std: zero would divide by zero"),
        (replaced("image}", "image, dtype: float23}"), "4: inputs.x.dtype: expected one of float32, float64"),
        (replaced("image}", "image, scale: 1/255}"), "4: inputs.x.scale: expected a number, got '1/255'"),
        (replaced("image}", "image, scale: .inf}"), "4: inputs.x.scale: expected a finite number, got inf"),
        (replaced("image}", "image, scale: true}"), "4: inputs.x.scale: expected a number, got True"),
        (replaced("image}", "image, scale: 0}"), "4: inputs.x.scale: zero would erase the picture"),
        (replaced("image}", "image, dtype: uint8, mean: 9}"), "4: inputs.x.dtype: pixels become -9 to 246"),
        (
            replaced("image}", "image, dtype: float16, scale: 999}"),
            "4: inputs.x.dtype: pixels become 0 to 254745",
        ),
        (
            replaced("image}", "tensor, dtype: int8, range: [0, 300]}"),
            "4: inputs.x.range: 300 is no value of dtype int8",
        ),
        (
            replaced("image}", "tensor, dtype: int64, value: 0.5}"),
            "4: inputs.x.value: 0.5 is no value of dtype int64",
        ),
        (replaced("8, 8]", "99999, 99999]"), "4: inputs.x.shape: 119997600012 bytes; an input has at most"),
        (replaced("image}", "image, range: [1, 1]}"), "4: inputs.x.range: the first number must be below"),
        (replaced("image}", "tensor, mean: 1}"), "4: inputs.x.mean: only for images"),
        (
            replaced("image}", "image, resize: {mode: fit}}"),
            "4: inputs.x.resize.mode: expected one of stretch, letter",
        ),
        (replaced("image}", "image, resize: {size: [8]}}"), "4: inputs.x.resize.size: too few values: [8]"),
        (
            replaced("image}", "image, resize: {size: [8, 9]}}"),
            "4: inputs.x.resize.size: [height, width] [8, 9] differs",
        ),
        (
            replaced("image}", "image, resize: {fill: 3}}"),
            "4: inputs.x.resize.fill: only for mode 'letterbox'",
        ),
        (
            replaced("image}", "image, resize: {mode: short-side-crop, short_side: 7}}"),
            "4: inputs.x.resize.short_side: 7 is smaller than the crop",
        ),
        (replaced("name: m", "name: a b"), "1: name: expected a name of letters"),
        (replaced("model: m.onnx\n", ""), "1: model: missing, and required"),
        ("name: m\nmodel: m.onnx\ninputs: {}\n", "3: inputs: expected 1 entry or more, got none"),
        ("name: m\nmodel: m.onnx\ninputs: [x]\n", "3: inputs: expected 'key: value' lines, got ['x']"),
        (BASE + "labels: [a, b, a]\n", "5: labels: 'a' is listed twice"),
        (BASE + "labels:\n  - a\n  - 1.5\n", "7: labels.1: write this label in quotes"),
        (BASE + "labels: {a: b}\n", "5: labels: expected a list, got {'a': 'b'}"),
        (
            BASE + "samples:\n  - files: {y: a.png}\n",
            "6: samples.0.files.y: no such input; the inputs are: x",
        ),
        (
            BASE + "samples:\n  - {files: {x: a.png}, lable: b}\n",
            "6: samples.0.lable: unknown key; did you mean 'label'",
        ),
        (
            BASE + "task: classification\nlabels: [a, b]\nsamples:\n  - {files: {x: a.png}, label: c}\n",
            "8: samples.0.label: 'c' is not among the labels",
        ),
        (BASE + "tolerances: {fp61: {}}\n", "5: tolerances.fp61: unknown precision; did you mean 'fp16'?"),
        (
            BASE + "tolerances: {fp16: {cosine: 1}}\n",
            "5: tolerances.fp16.cosine: unknown key; did you mean 'cosine_min'?",
        ),
        (BASE + "tolerances: {fp16: {cosine_min: 2}}\n", "5: tolerances.fp16.cosine_min: expected at most 1"),
        (BASE + "base_dir: /\n", "5: base_dir: unknown key"),
    ],
)
def test_a_wrong_recipe_is_answered_with_line_key_and_remedy(
    tmp_path: Path, text: str, expected: str
) -> None:
    with pytest.raises(UsageError) as caught:
        recipe(tmp_path, text)
    assert caught.value.message.removeprefix(str(tmp_path) + "/").startswith(f"edgeflow.yaml:{expected}")
    assert "\n" not in caught.value.message


def test_an_input_without_a_file_needs_a_value(tmp_path: Path) -> None:
    text = "name: m\nmodel: m\ninputs:\n  x: {shape: [2]}\n  state: {shape: [3]VALUE}\n"
    text += "samples: [{files: {x: a.npy}}]\n"
    with pytest.raises(UsageError, match="no file for input 'state'"):
        recipe(tmp_path, text.replace("VALUE", ""))
    assert recipe(tmp_path, text.replace("VALUE", ", value: 0")).inputs["state"].value == 0.0


def test_default_recipe_pins_only_the_batch(tmp_path: Path) -> None:
    info = Info((Tensor("in:0", "float32", ("N", 3, 8, 8)),), (Tensor("out", "float32", (1, 2)),))
    made = recipe_for_model(tmp_path / "my model.onnx", info)
    assert made.inputs["in:0"].shape == (1, 3, 8, 8)
    assert made.inputs["in:0"].kind == "tensor"
    assert (made.name, made.model) == ("my-model", "my model.onnx")


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (
            (1, 3, "height", 8),
            r"input 'x': axis 2 \('height'\) of shape \[1, 3, height, 8\] has no fixed size",
        ),
        ((None, None), r"input 'x': axis 1 of shape \[\?, \?\] has no fixed size"),
    ],
)
def test_default_recipe_guesses_no_other_size(
    tmp_path: Path, shape: tuple[int | str | None, ...], expected: str
) -> None:
    with pytest.raises(UsageError, match=expected) as caught:
        recipe_for_model(tmp_path / "m.onnx", Info((Tensor("x", "float32", shape),), ()))
    assert "edgeflow init" in caught.value.hint


def test_default_recipe_of_an_input_too_large_to_send(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"m\.onnx: input 'x': shape: 400000000 bytes; an input has at most"):
        recipe_for_model(tmp_path / "m.onnx", Info((Tensor("x", "float32", (1, 100_000_000)),), ()))


def test_default_recipe_names_a_dtype_that_cannot_be_fed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="input 'x': object tensors are not supported"):
        recipe_for_model(tmp_path / "m.onnx", Info((Tensor("x", "object", (1,)),), ()))


AWKWARD = Info(
    (
        Tensor("input:0", "float32", ("N", 3, "?", "w")),
        Tensor("true", "int64", (None, "seq")),
        Tensor("a 'b' \"c\" #d", "uint8", (1, 32, 32, 3)),
        Tensor("scalar", "float32", ()),
    ),
    (Tensor("softmax/out", "float32", ("N", 3)),),
    {"character": "no\n1.0\n# three"},
)


def test_a_rendered_recipe_loads_again_and_marks_its_guesses(tmp_path: Path) -> None:
    text = render_recipe(tmp_path / "models" / "net v2.onnx", AWKWARD, tmp_path)
    loaded = recipe(tmp_path, text)
    assert loaded.resolve(loaded.model) == tmp_path / "models" / "net v2.onnx"
    assert {name: spec.shape for name, spec in loaded.inputs.items()} == {
        "input:0": (1, 3, 224, 224),
        "true": (1, 16),
        "a 'b' \"c\" #d": (1, 32, 32, 3),
        "scalar": (),
    }
    assert loaded.inputs["input:0"].kind == "image"
    assert loaded.inputs["a 'b' \"c\" #d"].layout == "NHWC"
    assert loaded.label_names() == ("no", "1.0", "# three")
    assert loaded.output == "softmax/out"
    for line in text.splitlines():
        if any(
            key in line for key in ("kind: image", "layout:", "color:", "224, 224", "task: classification")
        ):
            assert "# guess" in line


def test_several_outputs_are_no_classification(tmp_path: Path) -> None:
    info = Info(
        (Tensor("x", "float32", (1, 4)),), (Tensor("a", "float32", (1, 2)), Tensor("b", "float32", (1, 4)))
    )
    assert recipe(tmp_path, render_recipe(tmp_path / "m.onnx", info)).task == ""


def test_options_of_a_converter_go_to_its_runtime_alone(tmp_path: Path) -> None:
    path = tmp_path / "edgeflow.yaml"
    path.write_text(BASE + "convert: {snpe: {activations: 16, htp: [v73, v75]}}\n")
    recipe = load_recipe(path)
    assert recipe.convert.of("snpe") == {"activations": 16, "htp": ("v73", "v75")}
    assert recipe.convert.of("ncnn") == {}
    path.write_text(BASE)
    assert load_recipe(path).convert.of("snpe") == {}
    for wrong in ("{snpe: {activations: 4}}", "{snpe: {htp: [v60]}}", "{mnn: {}}"):
        path.write_text(BASE + f"convert: {wrong}\n")
        with pytest.raises(UsageError, match=r"edgeflow\.yaml:5"):
            load_recipe(path)
