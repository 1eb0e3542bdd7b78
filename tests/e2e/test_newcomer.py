"""What a newcomer stumbled over once, and shall not again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from conftest import environment

Cli = Callable[..., Any]


def save_model(path: Path, op: str = "Relu", shape: tuple[int | str, ...] = (1, 4)) -> Path:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node(op, ["x"], ["y"])], "g", [values[0]], [values[1]])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), path)
    return path


def test_convert_never_deletes_what_it_did_not_write(edgeflow: Cli, tmp_path: Path) -> None:
    model, out = save_model(tmp_path / "m.onnx"), tmp_path / "out"
    assert edgeflow("convert", model, "-r", "onnxruntime", "-o", out).code == 0
    (out / "labels.txt").write_text("mine")
    again = edgeflow("convert", model, "-r", "ncnn", "-o", out)
    assert again.code == 2
    assert "labels.txt" in again.error_line
    assert (out / "labels.txt").read_text() == "mine"
    (out / "labels.txt").unlink()
    assert edgeflow("convert", model, "-r", "ncnn", "-o", out).code == 0
    assert sorted(path.name for path in out.iterdir()) == ["artifact.json", "model.bin", "model.param"]


def test_nan_is_shown_and_warned_about(edgeflow: Cli, tmp_path: Path) -> None:
    model = save_model(tmp_path / "log.onnx", "Log")
    np.save(tmp_path / "x.npy", np.array([[-1, -1, 0.5, 0.2]], np.float32))
    shown = edgeflow("run", model, "-r", "onnxruntime", "-i", tmp_path / "x.npy")
    assert "NaN" in shown.out
    assert " 2" in shown.out.splitlines()[1]
    deployed = edgeflow("deploy", model, "-r", "onnxruntime", "--budget-s", "0.2", "--json").document
    assert any("NaN" in warning for warning in deployed["numerics"]["warnings"])


@pytest.mark.network
def test_a_wrong_answer_is_no_valid_result(edgeflow: Cli, warm_home: Path, tmp_path: Path) -> None:
    edgeflow("zoo", "pull", "pplcnet-orientation")
    folder = warm_home / "zoo" / "pplcnet-orientation"
    recipe = (folder / "recipe.yaml").read_text().replace("page-0.png", "page-90.png")
    recipe = recipe.replace("pplcnet-orientation.onnx", str(folder / "pplcnet-orientation.onnx"))
    for page in folder.glob("*.png"):
        (tmp_path / page.name).write_bytes(page.read_bytes())
    (tmp_path / "edgeflow.yaml").write_text(recipe)
    done = edgeflow("deploy", "-r", "onnxruntime", "--budget-s", "0.5", "--require-valid", cwd=tmp_path)
    assert done.code == 1
    assert "whose label is '0'" in done.error_line


def test_an_output_that_proves_nothing_is_said_to_be_unverifiable(edgeflow: Cli, tmp_path: Path) -> None:
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [4], [0.0] * 4)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("x", "y")]
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "zero"], ["y"])], "g", [values[0]], [values[1]], [zero]
    )
    path = tmp_path / "zero.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), path)
    done = edgeflow("deploy", path, "-r", "onnxruntime")
    assert done.code == 5
    assert "cannot be verified" in done.error_line
    assert "disagrees" not in done.err


def test_the_cure_for_an_open_axis_works(edgeflow: Cli, tmp_path: Path) -> None:
    model = save_model(tmp_path / "m.onnx", shape=(1, 3, "height", 8))
    refused = edgeflow("deploy", model, "-r", "onnxruntime")
    assert refused.code == 2
    (cure,) = (line for line in refused.err.splitlines() if "edgeflow init" in line)
    command = cure.split("'")[1].split()
    assert edgeflow(*command[1:]).code == 0
    recipe = tmp_path / "m.yaml"
    lines = [line.replace("?", "8") for line in recipe.read_text().splitlines()]
    recipe.write_text("\n".join(lines))
    again = edgeflow("deploy", model, "-r", "onnxruntime", "--budget-s", "0.2")
    assert "edgeflow init" not in again.err


def test_usage_errors_are_documents_too(edgeflow: Cli) -> None:
    for words in (["deploy", "--threads", "0"], ["nope"], ["deploy", "--mode", "fast"]):
        done = edgeflow(*words, "--json")
        assert done.code == 2
        assert done.document["error"]["exit_code"] == 2
        assert "Input should" not in done.err
        assert "Value error" not in done.err


def test_a_filter_that_matches_nothing_is_not_an_empty_store(edgeflow: Cli) -> None:
    assert "no results match" in edgeflow("results", "list", "-m", "nope").out


def test_a_damaged_store_is_a_usage_error(fresh_edgeflow: Cli, home: Path) -> None:
    (home / "results.db").write_bytes(b"not a database at all" * 100)
    done = fresh_edgeflow("results", "list")
    assert done.code == 2
    assert "results.db" in done.error_line
    assert fresh_edgeflow("doctor").code == 2


def test_samples_take_one_line(edgeflow: Cli, tmp_path: Path) -> None:
    done = edgeflow(
        "deploy", save_model(tmp_path / "m.onnx"), "-r", "onnxruntime", "--budget-s", "0.3", "--json"
    )
    assert done.document["latency_ms"]["n"] > 100
    assert len(done.out.splitlines()) < 300


def test_a_reader_that_leaves_is_no_error(warm_home: Path, tmp_path: Path) -> None:
    command = f"{sys.executable} -m edgeflow.cli.main devices facts --json | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], env=environment(warm_home), cwd=tmp_path, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["{", "0"]
    assert done.stderr == ""


def test_an_accelerator_that_nobody_serves_is_refused_at_once(fresh_edgeflow: Cli, tmp_path: Path) -> None:
    done = fresh_edgeflow("deploy", save_model(tmp_path / "m.onnx"), "--accelerator", "gpu")
    assert done.code == 3
    assert "--accelerator cpu" in done.err
    assert "convert" not in done.err


def test_files_are_not_written_into_folders_that_are_not_there(edgeflow: Cli, tmp_path: Path) -> None:
    done = edgeflow("results", "export", "-f", "json", "-o", tmp_path / "no" / "x.json")
    assert done.code == 2
    assert not (tmp_path / "no").exists()
    clash = edgeflow("results", "export", "-f", "csv", "--json")
    assert clash.code == 2


def test_the_demo_model_is_named_even_when_quiet(edgeflow: Cli) -> None:
    done = edgeflow("deploy", "-r", "onnxruntime", "--budget-s", "0.2", "--quiet")
    assert "demo model" in done.err


def test_exported_json_is_json(edgeflow: Cli, tmp_path: Path) -> None:
    out = tmp_path / "x.json"
    assert "wrote" in edgeflow("results", "export", "-f", "json", "-o", out).err
    assert json.loads(out.read_text())["schema"] == "edgeflow.results/1"
