"""The two engines that make a float32 .tflite: chosen by name, each in its own environment."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeflow_converters.base import ConvertRequest
from edgeflow_converters.environments import environment
from edgeflow_converters.errors import ConverterFailed, UnknownTarget
from edgeflow_converters.pipeline import convert

LOCK = "onnx2tf-tensorflow"


def request_for(engine: str, folder: Path) -> ConvertRequest:
    random = np.random.default_rng(0)
    weights = random.normal(size=(6, 3, 3, 3)).astype("f4")
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2]),
            helper.make_node("HardSwish", ["c"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 16, 12))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 6, 8, 6))],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.save(model, folder / "m.onnx")
    samples = [{"x": random.normal(size=(1, 3, 16, 12)).astype("f4")} for _ in range(3)]
    return ConvertRequest(
        folder / "m.onnx", "tflite", "fp32", {"x": (1, 3, 16, 12)}, samples, options={"engine": engine}
    )


def test_an_engine_that_there_is_not_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(UnknownTarget, match="tflite's option engine cannot be caffe") as caught:
        convert(request_for("caffe", tmp_path), tmp_path / "cache", str, tools_root=tmp_path / "tools")
    assert caught.value.hint == "it takes: onnx2tf, tensorflow"


def test_tensorflows_converter_runs_in_its_own_environment(tmp_path: Path) -> None:
    """A stand-in for the environment's interpreter tells what it was asked for."""
    python = environment(LOCK, tmp_path / "tools").python
    python.parent.mkdir(parents=True)
    python.write_text(f"#!{sys.executable}\nimport sys\nprint(*sys.argv[1:])\n")
    python.chmod(0o755)
    with pytest.raises(ConverterFailed, match="said success and wrote no model") as caught:
        convert(request_for("tensorflow", tmp_path), tmp_path / "cache", str, tools_root=tmp_path / "tools")
    assert "--tflite_backend tf_converter" in caught.value.log


@pytest.mark.network
@pytest.mark.timeout(900)  # the first use installs 670 MB
def test_without_xnnpack_the_product_runs_on_litert_s_own_kernels(tmp_path: Path, tools_root: Path) -> None:
    asked = replace(request_for("onnx2tf", tmp_path), options={"xnnpack": False})
    made = convert(asked, tmp_path / "cache", str, tools_root=tools_root)
    assert made.verdict.passed and made.runtime_options == {"xnnpack": False}


@pytest.mark.timeout(600)
def test_both_engines_make_what_the_model_is(tmp_path: Path, tools_root: Path) -> None:
    if not environment(LOCK, tools_root).ready:
        pytest.skip(f"{LOCK} takes 2.7 GB: edgeflow toolchain install {LOCK}")
    made = convert(request_for("tensorflow", tmp_path), tmp_path / "cache", str, tools_root=tools_root)
    other = convert(request_for("onnx2tf", tmp_path), tmp_path / "cache", str, tools_root=tools_root)
    assert made.verdict.passed and other.verdict.passed and made.key != other.key
    assert "engine" not in made.runtime_options
    assert set(made.tools) - set(other.tools) == {LOCK} and set(other.tools) - set(made.tools) == {"onnx2tf"}
