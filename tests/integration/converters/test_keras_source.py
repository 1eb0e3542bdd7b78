"""Keras models of every layer that is read, written and answered by Keras itself; and what is refused."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from edgeflow_converters.environments import environment, isolated
from edgeflow_converters.errors import ModelUnreadable, ShapeMismatch, UnsupportedModel
from edgeflow_converters.sources.base import Asked, InputShape, Source
from edgeflow_converters.sources.importing import Imported, import_model
from edgeflow_converters.sources.keras.ops import KINDS

pytestmark = [pytest.mark.network, pytest.mark.timeout(900)]  # the first use installs 640 MB
SCRIPT = Path(__file__).parents[2] / "keras_models.py"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, tools_root: Path) -> Path:
    """A folder of models that Keras wrote, with what it answers."""
    folder = tmp_path_factory.mktemp("keras")
    python = environment("keras", tools_root).ensure(lambda phase: None)
    subprocess.run(isolated(python, str(SCRIPT), str(folder)), check=True, timeout=300)
    return folder


def imported(path: Path, tools_root: Path, **shapes: tuple[int, ...]) -> Imported:
    asked = Asked(inputs={name: InputShape(shape) for name, shape in shapes.items()})
    return import_model(Source("keras", path), asked, path.parent / "c", tools_root, lambda phase: None)


def test_every_layer_computes_what_keras_does(written: Path, tools_root: Path) -> None:
    found = imported(written / "all.keras", tools_root)
    with np.load(written / "all.npz") as arrays:
        image, *expected = (arrays[name] for name in arrays.files)
    names = json.loads((written / "names.json").read_text())
    session = onnxruntime.InferenceSession(found.model)
    assert [port.name for port in session.get_inputs()] == ["image"]
    answers = session.run(names, {"image": image})
    for name, answer, right in zip(names, answers, expected, strict=True):
        np.testing.assert_allclose(answer, right, rtol=1e-4, atol=1e-5, err_msg=name)
    read = {layer["class_name"] for layer in layers(written / "all.keras")} - {"Sequential"}
    assert set(KINDS) == read, "a layer that is read and not tried here, or the other way round"


def layers(path: Path) -> list[Any]:
    with zipfile.ZipFile(path) as archive:
        found: list[Any] = json.loads(archive.read("config.json"))["config"]["layers"]
    return found


def test_between_convolutions_nothing_is_transposed(written: Path, tools_root: Path) -> None:
    model = onnx.load(imported(written / "all.keras", tools_root).model)
    made_by = {name: node for node in model.graph.node for name in node.output}
    (conv,) = (
        node for node in model.graph.node if node.op_type == "Conv" and "strides" in str(node) and
        list(onnx.helper.get_node_attr_value(node, "strides")) == [2, 2]
        and list(onnx.helper.get_node_attr_value(node, "kernel_shape")) == [3, 3]
        and onnx.helper.get_node_attr_value(node, "group") == 1
    )  # fmt: skip
    assert made_by[conv.input[0]].op_type == "Conv"


def test_several_inputs_and_outputs_and_sizes_that_are_told(written: Path, tools_root: Path) -> None:
    with pytest.raises(ShapeMismatch, match=r"'left' is \?x\?x\?x2: its size is open"):
        imported(written / "two.h5", tools_root)
    with pytest.raises(ShapeMismatch, match=r"'left' is \?x\?x\?x2, not 1x7x6x3"):
        imported(written / "two.h5", tools_root, left=(1, 7, 6, 3))
    with pytest.raises(ShapeMismatch, match="no input 'middle'"):
        imported(written / "two.h5", tools_root, middle=(1, 7, 6, 3))
    found = imported(written / "two.h5", tools_root, left=(1, 7, 6, 2))
    session = onnxruntime.InferenceSession(found.model)
    assert [port.name for port in session.get_inputs()] == ["left", "right"]
    assert [port.name for port in session.get_outputs()] == ["one", "right_1"]
    assert found.facts["agreement"]["rel_err_max"] < 1e-5


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("code.keras", "the layer Lambda is not read"),
        ("gru.h5", "the layer GRU is not read"),
        ("odd.keras", "Keras's Dense 'odd' is not read: its activation is mish"),
        ("first.keras", "Keras's Conv2D 'first' is not read: its data_format is channels_first"),
        ("only.weights.h5", "it holds weights and no model"),
    ],
)
def test_what_is_not_read_is_declined_by_name(written: Path, tools_root: Path, name: str, words: str) -> None:
    with pytest.raises(UnsupportedModel, match=words):
        imported(written / name, tools_root)


@pytest.mark.parametrize(("name", "keep"), [("two.h5", 0.5), ("two.h5", 0.99), ("two.h5", 20)])
def test_a_cut_hdf5_file_is_damaged(
    written: Path, tools_root: Path, tmp_path: Path, name: str, keep: float
) -> None:
    content = (written / name).read_bytes()
    (tmp_path / name).write_bytes(content[: keep if isinstance(keep, int) else int(len(content) * keep)])
    with pytest.raises(UnsupportedModel, match=r"two\.h5: it is damaged: "):
        imported(tmp_path / name, tools_root, left=(1, 7, 6, 2))


def test_what_is_no_keras_file_is_told_without_keras(tmp_path: Path) -> None:
    for name, content, words in (
        ("m.h5", b"hello" * 20, "neither HDF5 nor"),
        ("m.keras", b"PK\x03\x04" + bytes(100), "truncated"),
        ("e.h5", b"", "is empty"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelUnreadable, match=words):
            imported(tmp_path / name, tmp_path / "tools")
    assert not (tmp_path / "tools").exists()
