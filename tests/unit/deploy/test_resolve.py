"""What a MODEL argument means, with real model files; models of the network are for the integration tests."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from edgeflow.deploy.resolve import ResolvedModel, resolve_model
from edgeflow.errors import UsageError
from edgeflow_converters.inspect import inspect_model


def write_model(path: Path, shape: tuple[int | str, ...] = ("N", 4)) -> Path:
    """A one-node ONNX model at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def resolve(spec: str | None, cwd: Path) -> ResolvedModel:
    return resolve_model(spec, cwd, cwd / "home", inspect_model)


def failure(spec: str | None, cwd: Path) -> str:
    with pytest.raises(UsageError) as caught:
        resolve(spec, cwd)
    assert "\n" not in caught.value.message
    return caught.value.message


def recipe_text(name: str, model: str) -> str:
    return f"name: {name}\nmodel: {model}\ninputs: {{x: {{shape: [1, 4]}}}}\n"


def test_nothing_named_means_this_folders_recipe(tmp_path: Path) -> None:
    write_model(tmp_path / "nets" / "a.onnx")
    (tmp_path / "edgeflow.yaml").write_text(recipe_text("mine", "nets/a.onnx"))
    found = resolve(None, tmp_path)
    assert (found.name, found.source) == ("mine", tmp_path / "nets" / "a.onnx")
    assert found.origin == "edgeflow.yaml in this folder"


def test_a_bare_model_gets_the_default_recipe(tmp_path: Path) -> None:
    write_model(tmp_path / "net.onnx")
    found = resolve("net.onnx", tmp_path)
    assert found.recipe.inputs["x"].shape == (1, 4)
    assert "default recipe" in found.origin


@pytest.mark.parametrize("beside", ["net.yaml", "edgeflow.yaml"])
def test_a_recipe_beside_the_model_counts_only_if_it_is_of_this_model(tmp_path: Path, beside: str) -> None:
    write_model(tmp_path / "net.onnx")
    write_model(tmp_path / "other.onnx")
    recipe = tmp_path / beside
    recipe.write_text(recipe_text("mine", "./net.onnx"))
    assert resolve("net.onnx", tmp_path).name == "mine"
    assert beside in resolve("net.onnx", tmp_path).origin
    for foreign in (recipe_text("theirs", "other.onnx"), recipe_text("theirs", "absent.onnx"), "epochs: 3\n"):
        recipe.write_text(foreign)
        assert "default recipe" in resolve("net.onnx", tmp_path).origin
    recipe.write_text("name: broken\nmodel: net.onnx\n")
    assert "inputs: missing, and required" in failure("net.onnx", tmp_path)


def test_an_open_axis_leads_to_init(tmp_path: Path) -> None:
    write_model(tmp_path / "net.onnx", (1, "length"))
    with pytest.raises(UsageError, match=r"axis 1 \('length'\)") as caught:
        resolve("net.onnx", tmp_path)
    assert "edgeflow init" in caught.value.hint


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("nett.onnx", "nett.onnx: no such file; did you mean 'net.onnx'?"),
        ("far/net.onnx", "far/net.onnx: no such file, and no folder"),
        ("recipe.yaml", "recipe.yaml: no such file"),
        (
            "net.bin9",
            "net.bin9: not a model that edgeflow reads (and no such file); expected a model (.onnx, ",
        ),
        ("sub", "sub: is a folder; expected a model (.onnx, "),
        ("sub.onnx", "sub.onnx: is a folder, not a file"),
        ("pplcnet-orientation", "pplcnet-orientation: not a file; a model of the zoo is written zoo:pplcnet"),
        (
            "zoo:pplcnet-orientaton",
            "unknown zoo model 'pplcnet-orientaton': did you mean 'pplcnet-orientation'?",
        ),
        ("zoo:", "unknown zoo model ''"),
        ("lost.yaml", "lost.yaml: model: net.onxx: no such file; did you mean 'net.onnx'?"),
        ("wrong.yaml", "wrong.yaml: model: notes.txt: expected a file of .onnx"),
    ],
)
def test_a_spec_that_names_no_model_is_answered_with_a_way_on(
    tmp_path: Path, spec: str, expected: str
) -> None:
    write_model(tmp_path / "net.onnx")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub.onnx").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "lost.yaml").write_text(recipe_text("a", "net.onxx"))
    (tmp_path / "wrong.yaml").write_text(recipe_text("a", "notes.txt"))
    assert failure(spec, tmp_path).removeprefix(f"{tmp_path}/").startswith(expected)
