"""Answers, artifacts and recipes through the real command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

MODEL = "zoo:pplcnet-orientation"


def save_affine_model(path: Path, size: int | str = 4, name: str = "affine") -> Path:
    """y = x @ W + b with W = 2 I and b = 1: an answer that anybody can check. Another `name` makes it another
    model to the cache."""
    weights = helper.make_tensor("W", TensorProto.FLOAT, [4, 4], (2 * np.eye(4, dtype=np.float32)).ravel())
    bias = helper.make_tensor("b", TensorProto.FLOAT, [4], np.ones(4, np.float32))
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "W"], ["m"]), helper.make_node("Add", ["m", "b"], ["y"])],
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, size])],
        [weights, bias],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.save(model, path)
    return path


@pytest.mark.network
@pytest.mark.parametrize("runtime", ["ncnn", "onnxruntime"])
@pytest.mark.parametrize("angle", ["0", "90", "180", "270"])
def test_run_reads_real_pages(
    edgeflow: Callable[..., Any], warm_home: Path, runtime: str, angle: str
) -> None:
    edgeflow("zoo", "pull", "pplcnet-orientation")
    page = warm_home / "zoo" / "pplcnet-orientation" / f"page-{angle}.png"
    done = edgeflow("run", MODEL, "-d", "local", "-r", runtime, "--input", page, "--json")
    assert done.code == 0, done.err
    prediction = done.document["prediction"]
    assert prediction["label"] == angle
    assert prediction["score"] == max(other["score"] for other in prediction["top"])


@pytest.mark.parametrize("runtime", ["ncnn", "onnxruntime"])
def test_run_gives_tensors_where_no_recipe_says_what_they_mean(
    edgeflow: Callable[..., Any], tmp_path: Path, runtime: str
) -> None:
    model = save_affine_model(tmp_path / "affine.onnx")
    np.save(tmp_path / "x.npy", np.array([[0, 1, 2, 3]], np.float32))
    out = tmp_path / "y.npz"
    done = edgeflow("run", model, "-r", runtime, "--input", tmp_path / "x.npy", "--output", out, "--json")
    assert done.code == 0, done.err
    assert done.document["prediction"] is None
    np.testing.assert_allclose(np.load(out)["y"], [[1, 3, 5, 7]], rtol=1e-6)


def test_convert_writes_a_folder_that_describes_itself(edgeflow: Callable[..., Any], tmp_path: Path) -> None:
    model = save_affine_model(tmp_path / "affine.onnx", name="converted by nobody else")
    out = tmp_path / "out"
    done = edgeflow("convert", model, "--runtime", "ncnn", "--output", out, "--json")
    assert done.code == 0, done.err
    assert (out / "model.param").is_file()
    manifest = json.loads((out / "artifact.json").read_text())
    assert manifest["runtime"] == "ncnn"
    # ncnn promises nothing, so it takes the version that verified the artifact, or a newer one.
    assert manifest["needs"]["runtime_versions"]["least"] == done.document["tools"]["ncnn"]
    phases = {"resolve", "samples", "inspect", "reference", "prepare", "try", "convert", "verify", "commit"}
    assert set(done.document["phases_ns"]) == phases and min(done.document["phases_ns"].values()) >= 0
    again = edgeflow("convert", model, "--runtime", "onnxruntime", "--output", out)
    assert again.code == 0, again.err
    assert not (out / "model.param").exists()


def test_convert_never_overwrites_a_folder_of_other_things(
    edgeflow: Callable[..., Any], tmp_path: Path
) -> None:
    model = save_affine_model(tmp_path / "affine.onnx")
    (tmp_path / "thesis.tex").write_text("x")
    done = edgeflow("convert", model, "--runtime", "ncnn", "--output", tmp_path)
    assert done.code == 2
    assert (tmp_path / "thesis.tex").read_text() == "x"


def test_init_gives_a_recipe_that_deploys(edgeflow: Callable[..., Any], tmp_path: Path) -> None:
    save_affine_model(tmp_path / "affine.onnx")
    assert edgeflow("init", "affine.onnx", cwd=tmp_path).code == 0
    recipe = (tmp_path / "edgeflow.yaml").read_text()
    assert "affine.onnx" in recipe
    again = edgeflow("init", "affine.onnx", cwd=tmp_path)
    assert again.code == 2
    done = edgeflow("deploy", "-r", "onnxruntime", "--budget-s", "0.3", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.document["model"]["name"] == "affine"
