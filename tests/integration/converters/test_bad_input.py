"""Bad models, requests and tools: one clear line and the right class each, and nothing half-written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import processes
from edgeflow_converters import errors
from edgeflow_converters.base import ConvertRequest
from edgeflow_converters.errors import UnsupportedModel
from edgeflow_converters.pipeline import convert
from edgeflow_converters.tools import PNNX_VERSION


def tiny_model(op: str = "Conv", domain: str = "", dynamic: bool = False) -> onnx.ModelProto:
    """A 3x3 convolution of two channels, or one node of another kind behind it."""
    random = np.random.default_rng(3)
    height: Any = "height" if dynamic else 8
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["y" if op == "Conv" else "h"], pads=[1, 1, 1, 1], name="conv")
    ]
    if op != "Conv":
        nodes.append(helper.make_node(op, ["h"], ["y"], domain=domain, name="odd"))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, height, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, height, 8])],
        [numpy_helper.from_array(random.normal(size=(2, 2, 3, 3)).astype("f4"), "w")],
    )
    opsets = [helper.make_opsetid("", 17)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def request_for(source: Path, runtime: str = "ncnn", **changes: Any) -> ConvertRequest:
    random = np.random.default_rng(4)
    samples = [{"x": random.normal(size=(1, 2, 8, 8)).astype("f4")} for _ in range(2)]
    request = ConvertRequest(source, runtime, "fp32", {"x": (1, 2, 8, 8)}, samples, timeout_s=60)
    return replace(request, **changes)


def fails(
    request: ConvertRequest, cache: Path, kind: type[errors.ConvertError], tools: Path | None = None
) -> errors.ConvertError:
    """The error of a conversion that must fail with exactly `kind`, in one line, leaving nothing behind."""
    with pytest.raises(errors.ConvertError) as caught:
        convert(request, cache, lambda phase: None, tools_root=tools)
    assert type(caught.value) is kind, caught.value.message
    assert caught.value.message and "\n" not in caught.value.message
    if cache.is_dir():
        assert not list(cache.glob("artifact/*/*"))
        assert not list(cache.glob("tmp/*"))
    return caught.value


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    onnx.save(tiny_model(), path)
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"This is a text file, and no model at all.\n" * 20, "cannot be read as ONNX"),
        (b"\x00" * 512, "cannot be read as ONNX"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "cannot be read as ONNX"),
    ],
)
def test_no_model(content: bytes | None, words: str, tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "bad.onnx"
    if content is not None:
        path.write_bytes(content)
    error = fails(request_for(path), cache, errors.ModelUnreadable)
    assert words in error.message and "bad.onnx" in error.message


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_truncated_model(share: float, model: Path, cache: Path) -> None:
    data = model.read_bytes()
    model.write_bytes(data[: max(1, int(len(data) * share))])
    fails(request_for(model), cache, errors.ModelUnreadable)


def test_external_data_is_missing(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "big.onnx"
    onnx.save(tiny_model(), path, save_as_external_data=True, location="big.data", size_threshold=0)
    (tmp_path / "big.data").unlink()
    assert "big.data" in fails(request_for(path), cache, errors.ModelUnreadable).message


@pytest.mark.parametrize("runtime", ["ncnn", "onnxruntime"])
def test_an_operator_of_a_foreign_domain(runtime: str, tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "custom.onnx"
    onnx.save(tiny_model("Frobnicate", "com.example"), path)
    error = fails(request_for(path, runtime), cache, errors.UnsupportedModel)
    assert "Frobnicate" in error.message


def test_an_operator_that_onnx_does_not_have(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "unknown.onnx"
    onnx.save(tiny_model("Frobnicate"), path)
    assert "Frobnicate" in fails(request_for(path), cache, errors.UnsupportedModel).message


@pytest.mark.network
def test_an_operator_that_ncnn_does_not_have(tmp_path: Path, cache: Path, tools_root: Path) -> None:
    path = tmp_path / "det.onnx"
    model = tiny_model("Det")
    model.graph.output[0].type.tensor_type.shape.Clear()
    for size in (1, 2):
        model.graph.output[0].type.tensor_type.shape.dim.add().dim_value = size
    onnx.save(model, path)
    error = fails(request_for(path), cache, errors.UnsupportedModel, tools_root)
    assert "Det" in error.message and "ncnn has no layer" in error.message


@pytest.mark.parametrize(
    ("shape", "words"),
    [((1, 2, 9, 8), "axis 2 is fixed to 8"), ((2, 8, 8), "4 axes"), ((1, 2, 0, 8), "is no size")],
)
def test_a_shape_that_does_not_fit(shape: tuple[int, ...], words: str, model: Path, cache: Path) -> None:
    error = fails(request_for(model, input_shapes={"x": shape}), cache, errors.ShapeMismatch)
    assert words in error.message and "'x'" in error.message


def test_an_unknown_input_lists_the_known_ones(model: Path, cache: Path) -> None:
    error = fails(request_for(model, input_shapes={"image": (1, 2, 8, 8)}), cache, errors.ShapeMismatch)
    assert "x" in error.hint


def test_an_open_axis_is_named_with_what_to_write(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "dynamic.onnx"
    onnx.save(tiny_model(dynamic=True), path)
    error = fails(request_for(path, input_shapes={}), cache, errors.ShapeMismatch)
    assert "axis 2 ('height')" in error.message
    assert "shape: [1, 2, 1, 8]" in error.hint


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        ({"x": np.zeros((1, 2, 8, 4), "f4")}, "[1, 2, 8, 4]"),
        ({"x": np.zeros((1, 2, 8, 8), "f8")}, "float64"),
        ({"y": np.zeros((1, 2, 8, 8), "f4")}, "['y']"),
    ],
)
def test_a_sample_that_does_not_fit(sample: dict[str, Any], words: str, model: Path, cache: Path) -> None:
    assert words in fails(request_for(model, samples=[sample]), cache, errors.ShapeMismatch).message


def test_no_samples(model: Path, cache: Path) -> None:
    fails(request_for(model, samples=[]), cache, errors.ShapeMismatch)


@pytest.mark.parametrize(
    ("runtime", "precision", "kind"),
    [
        ("ncnnn", "fp32", errors.UnknownTarget),
        ("ncnn", "fp23", errors.UnknownTarget),
        ("ncnn", "int8-dynamic", errors.NotOffered),
        ("paddlelite", "int8", errors.NotOffered),
        ("snpe", "int8-dynamic", errors.NotOffered),
    ],
)
def test_a_target_that_cannot_be_had(
    runtime: str, precision: str, kind: type[errors.ConvertError], model: Path, cache: Path
) -> None:
    assert fails(request_for(model, runtime, precision=precision), cache, kind).hint


def test_outputs_that_prove_nothing_are_no_proof(tmp_path: Path, cache: Path) -> None:
    model = tiny_model()
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.zeros((2, 2, 3, 3), "f4"), "w"))
    path = tmp_path / "zero.onnx"
    onnx.save(model, path)
    error = fails(request_for(path, "onnxruntime"), cache, errors.Unverifiable)
    assert "no output tells a right product from a wrong one" in error.message


# --- no tool (tools that misbehave: test_faulty_tools.py) ------------------------------------------


def test_no_tool_and_no_way_to_fetch_it(
    model: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    error = fails(request_for(model), cache, errors.ToolMissing, tmp_path / "tools")
    assert f"pnnx-{PNNX_VERSION}" in error.hint
    assert not [path for path in (tmp_path / "tools").iterdir() if path.suffix != ".lock"]


def test_the_tool_dies_with_us(tmp_path: Path) -> None:
    """kill -9 of the converting process leaves no tool behind."""
    pids = tmp_path / "pid"
    os.mkfifo(pids)
    tool_code = f"import os, signal; open({str(pids)!r}, 'w').write(str(os.getpid())); signal.pause()"
    parent_code = (
        "import sys; from pathlib import Path; from edgeflow_converters import tool\n"
        "tool.run([sys.executable, '-c', sys.argv[1]], name='t', cwd=Path(sys.argv[2]), timeout_s=60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", parent_code, tool_code, str(tmp_path)])
    try:
        pid = int(pids.read_text())  # returns once the tool has written it
        assert processes.is_running(pid)
    finally:
        parent.kill()
        parent.wait()
    assert processes.has_ended(pid, timeout_s=60)  # killed; going takes it a moment


# --- the cache folder ------------------------------------------------------------------------------


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o555)
    yield folder
    folder.chmod(0o755)


def test_a_cache_folder_that_is_a_file(model: Path, tmp_path: Path) -> None:
    blocker = tmp_path / "blocker"
    blocker.write_text("in the way")
    error = fails(request_for(model), blocker / "cache", errors.CacheUnwritable)
    assert "blocker" in error.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_cache_folder(model: Path, read_only: Path) -> None:
    fails(request_for(model), read_only / "cache", errors.CacheUnwritable)


def test_a_full_cache_folder(model: Path, cache: Path) -> None:
    """A file-size limit stands in for a full disk: the write itself fails, as it does there."""
    code = (
        "import resource, signal, sys; sys.path.insert(0, sys.argv[3])\n"
        "from pathlib import Path\n"
        "from edgeflow_converters import errors\n"
        "from edgeflow_converters.pipeline import convert\n"
        "from test_bad_input import request_for\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))\n"
        "try:\n"
        "    convert(request_for(Path(sys.argv[1]), 'onnxruntime'), Path(sys.argv[2]), lambda phase: None)\n"
        "except errors.CacheUnwritable as error:\n"
        "    print(error.message)\n"
    )
    argv = [sys.executable, "-c", code, str(model), str(cache), str(Path(__file__).parent)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert "no space left in the cache folder" in done.stdout, done.stderr
    assert not list(cache.glob("tmp/*"))


def test_a_reference_that_is_known_to_be_wrong_verifies_nothing(tmp_path: Path, tools_root: Path) -> None:
    x = np.array([[1, -2, 3]], "f4")
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "known",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, tmp_path / "model.onnx")
    for right, agrees in ((np.maximum(x, 0), True), (np.abs(x), False)):
        request = ConvertRequest(
            tmp_path / "model.onnx", "onnxruntime", "fp32", {}, [{"x": x}], expected=[{"y": right}]
        )
        if agrees:
            artifact = convert(request, tmp_path / "cache", lambda phase: None, tools_root=tools_root)
            assert artifact.verdict.passed
            continue
        with pytest.raises(UnsupportedModel, match="another answer than the one that is known to be right"):
            convert(request, tmp_path / "cache", lambda phase: None, tools_root=tools_root)


def test_a_setting_among_the_inputs_is_a_constant_of_the_product(tmp_path: Path, tools_root: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Reshape", ["r", "shape"], ["y"])],
        "set",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 6]),
            helper.make_tensor_value_info("shape", TensorProto.INT64, [2]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3, 2])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, tmp_path / "model.onnx")
    random = np.random.default_rng(0)
    samples = [{"x": random.normal(size=(1, 6)).astype("f4"), "shape": np.array([3, 2])} for _ in range(2)]
    request = ConvertRequest(tmp_path / "model.onnx", "ncnn", "fp32", {}, samples)
    artifact = convert(request, tmp_path / "cache", lambda phase: None, tools_root=tools_root)
    assert artifact.pinned == {"shape": [3, 2]}
    assert [spec.name for spec in artifact.inputs] == ["x"]
    assert "input 'shape' is the constant [3, 2]" in artifact.notes
