"""Bad input: one clear line, the documented exit code, nothing half-written."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from conftest import run_edgeflow

Cli = Callable[..., Any]


def tiny_model(
    path: Path, *, op: str = "Relu", domain: str = "", shape: tuple[Any, ...] = (1, 3, 8, 8)
) -> Path:
    graph = helper.make_graph(
        [helper.make_node(op, ["x"], ["y"], domain=domain)],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, list(shape))],
    )
    opsets = [helper.make_opsetid("", 15)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def leftovers(home: Path) -> list[str]:
    """Artifacts and temporary things below a home; locks and shared packages are neither."""
    own = [
        path
        for path in home.rglob("*")
        if path.is_file() and "zoo" not in path.parts and "tools" not in path.parts
    ]
    names = (str(path.relative_to(home)) for path in own)
    return [name for name in names if "artifact" in name or ".tmp" in name or ".part" in name]


def refused(done: Any, code: int, *words: str) -> None:
    """The command ended with `code` and one error line that names all of `words`."""
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err, done.err
    assert done.error_line


def test_missing_file_names_the_nearest(fresh_edgeflow: Cli, tmp_path: Path) -> None:
    tiny_model(tmp_path / "model.onnx")
    refused(fresh_edgeflow("deploy", tmp_path / "modle.onnx"), 2, "modle.onnx", "model.onnx")


@pytest.mark.parametrize("keep", [0, 1, 60, 0.5, 0.99])
def test_truncated_model(fresh_edgeflow: Cli, home: Path, tmp_path: Path, keep: float) -> None:
    path = tmp_path / "weights.onnx"
    weights = helper.make_tensor(
        "w", TensorProto.FLOAT, [64, 64], np.ones(4096, np.float32).tobytes(), raw=True
    )
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64])],
        [weights],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), path)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep if keep >= 1 or keep == 0 else keep * len(data))])
    refused(fresh_edgeflow("deploy", path, "-r", "onnxruntime"), 4, "weights.onnx")
    assert leftovers(home) == []


@pytest.mark.parametrize(
    "content", [b"hello\n" * 50, b"\x89PNG\r\n\x1a\n" + bytes(200), b"PK\x03\x04" + bytes(100)]
)
def test_not_an_onnx(fresh_edgeflow: Cli, home: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "picture.onnx"
    path.write_bytes(content)
    refused(fresh_edgeflow("convert", path, "-r", "ncnn"), 4, "picture.onnx")
    assert leftovers(home) == []


def test_unknown_names_list_the_known_ones(edgeflow: Cli, tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "m.onnx")
    refused(edgeflow("deploy", model, "--device", "locl"), 2, "locl", "local")
    refused(edgeflow("deploy", model, "--runtime", "nccn"), 2, "nccn", "ncnn")
    refused(edgeflow("deploy", model, "--precision", "fp61"), 2, "fp61", "fp16")
    refused(edgeflow("deploy", model, "--accelerator", "tpu"), 2, "tpu", "npu")
    refused(edgeflow("deploy", "zoo:blazefase"), 2, "blazeface")
    refused(edgeflow("results", "show", "nonsense"), 2, "nonsense")


def test_what_is_not_offered_says_why(edgeflow: Cli, tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "m.onnx")
    refused(edgeflow("deploy", model, "-r", "snpe", "-p", "int8-dynamic"), 2, "snpe", "int8-dynamic", "fp16")
    refused(edgeflow("deploy", model, "--precision", "int8-dynamic"), 2, "int8-dynamic", "fp16")
    refused(edgeflow("deploy", model, "--precision", "int8"), 2, "int8", "real inputs", "calibration")
    refused(edgeflow("deploy", model, "--runtime", "onnxruntime", "--accelerator", "gpu"), 3, "gpu")


def test_wrong_recipe_key_names_file_line_and_the_nearest(edgeflow: Cli, tmp_path: Path) -> None:
    tiny_model(tmp_path / "m.onnx")
    (tmp_path / "edgeflow.yaml").write_text(
        "name: m\nmodel: m.onnx\ninputs:\n  x:\n    shpae: [1, 3, 8, 8]\n"
    )
    refused(edgeflow("deploy", cwd=tmp_path), 2, "edgeflow.yaml:5", "shpae", "shape")


@pytest.mark.parametrize("shape", ["[1, 3, 9, 8]", "[1, 3, 8]"])
def test_recipe_shape_that_does_not_fit(edgeflow: Cli, tmp_path: Path, shape: str) -> None:
    tiny_model(tmp_path / "m.onnx")
    (tmp_path / "edgeflow.yaml").write_text(f"name: m\nmodel: m.onnx\ninputs:\n  x: {{shape: {shape}}}\n")
    refused(edgeflow("deploy", cwd=tmp_path), 2, "'x'")


def test_open_axis_says_what_to_write(edgeflow: Cli, tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "m.onnx", shape=("n", 3, "h", "w"))
    refused(edgeflow("deploy", model), 2, "'h'", "edgeflow init")


def test_input_file_of_another_shape(edgeflow: Cli, tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "m.onnx")
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 8, 7), np.float32))
    refused(edgeflow("run", model, "-r", "onnxruntime", "--input", tmp_path / "x.npy"), 2, "x.npy")
    refused(edgeflow("run", model, "-r", "onnxruntime"), 2, "'x'", "--input")


@pytest.mark.parametrize("runtime", ["ncnn", "onnxruntime"])
def test_unsupported_op_is_named(fresh_edgeflow: Cli, home: Path, tmp_path: Path, runtime: str) -> None:
    model = tiny_model(tmp_path / "m.onnx", op="FancyOp", domain="com.example")
    refused(fresh_edgeflow("deploy", model, "-r", runtime), 4, "FancyOp")
    assert leftovers(home) == []


def test_home_that_cannot_be_written(tmp_path: Path, edgeflow: Cli) -> None:
    model = tiny_model(tmp_path / "m.onnx")
    blocker = tmp_path / "file"
    blocker.write_text("x")
    done = edgeflow("deploy", model, "-r", "onnxruntime", EDGEFLOW_HOME=str(blocker / "home"))
    refused(done, 2, "EDGEFLOW_HOME")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to read-only folders; see the full-disk test")
def test_read_only_cache(edgeflow: Cli, home: Path, tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "m.onnx")
    (home / "cache").mkdir(mode=0o555)
    done = edgeflow("convert", model, "-r", "onnxruntime", EDGEFLOW_HOME=str(home))
    refused(done, 2, "cache")


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="mounting a small disk needs root on Linux"
)
@pytest.mark.parametrize("command", ["convert", "deploy"])
def test_full_disk(tmp_path: Path, edgeflow: Cli, command: str) -> None:
    """A home on a disk of 1 MiB, in a mount namespace of the command's own."""
    import subprocess

    path = tmp_path / "big.onnx"
    values = np.random.default_rng(0).standard_normal((1024, 1024), dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1024])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1024])],
        [helper.make_tensor("w", TensorProto.FLOAT, [1024, 1024], values.tobytes(), raw=True)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), path)
    disk = tmp_path / "disk"
    disk.mkdir()
    listing = tmp_path / "listing"
    script = (
        f"mount -t tmpfs -o size=1m tmpfs {disk} && cd {tmp_path} && "
        f"EDGEFLOW_HOME={disk}/home {sys.executable} -m edgeflow.cli.main {command} {path} -r onnxruntime; "
        f"code=$?; find {disk} -name '*.onnx' > {listing}; exit $code"
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no mount namespaces here: {done.stderr.strip()}")
    assert done.returncode in (2, 3), done.stderr
    assert "Traceback" not in done.stderr
    assert "space" in done.stderr
    assert listing.read_text() == ""


def test_no_python_that_paddle_lite_is_for(tmp_path: Path) -> None:
    """Told with how to get one, before anything is converted; other runtimes are none the poorer."""
    model, nothing = tiny_model(tmp_path / "m.onnx"), tmp_path / "nothing"
    nothing.mkdir()
    places = ("PATH", "HOME", "PYENV_ROOT", "XDG_DATA_HOME", "UV_PYTHON_INSTALL_DIR")
    without = dict.fromkeys(places, str(nothing))
    done = run_edgeflow(tmp_path / "home", tmp_path, "convert", model, "-r", "paddlelite", **without)
    refused(
        done, 6, "paddlelite needs Python 3.10 or 3.9 or 3.8, and none was found", "uv python install 3.10"
    )
    done = run_edgeflow(tmp_path / "home", tmp_path, "convert", model, "-r", "onnxruntime", **without)
    assert done.code == 0, done.err
