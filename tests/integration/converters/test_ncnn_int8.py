"""ncnn's int8 where it is hard: a layer that must stay fp32, and models that it is no use to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeflow_converters import errors
from edgeflow_converters.base import ConvertRequest
from edgeflow_converters.pipeline import convert
from edgeflow_converters.targets.ncnn_int8 import SCALE_TERM
from edgeflow_converters.targets.ncnn_param import parse_param

pytestmark = pytest.mark.network

SHAPE = (1, 8, 12, 12)
LOUD = 2000.0


def saved(folder: Path, nodes: list[onnx.NodeProto], weights: dict[str, Any], outputs: int) -> Path:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "m",
        [value("x", TensorProto.FLOAT, SHAPE)],
        [value("y", TensorProto.FLOAT, (1, outputs, 12, 12))],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "m.onnx")
    return folder / "m.onnx"


def request(source: Path, loud: float = 1.0) -> ConvertRequest:
    """Inputs whose first channel is `loud` times as strong as the others."""
    random = np.random.default_rng(7)
    sets = [{"x": random.normal(size=SHAPE).astype("f4")} for _ in range(4)]
    for tensors in sets:
        tensors["x"][:, 0] *= loud
    return ConvertRequest(source, "ncnn", "int8", {}, sets, calibration=sets[:2])


def test_a_layer_that_int8_would_ruin_stays_fp32_and_is_named(tmp_path: Path, tools_root: Path) -> None:
    """Its loud channel hardly counts, and leaves the others one step of 127."""
    random = np.random.default_rng(8)
    first = random.normal(size=(16, 8, 1, 1)).astype("f4")
    first[:, 0] /= LOUD
    weights = {
        "w0": first,
        "w1": random.normal(size=(32, 16, 3, 3)).astype("f4"),
        "w2": random.normal(size=(8, 32, 1, 1)).astype("f4"),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "w1"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("Conv", ["d", "w2"], ["y"]),
    ]
    asked = request(saved(tmp_path, nodes, weights, 8), LOUD)
    artifact = convert(asked, tmp_path / "cache", lambda phase: None, tools_root=tools_root)
    layers = [layer for layer in parse_param(artifact.path / "model.param") if layer.kind == "Convolution"]
    assert [SCALE_TERM in layer.params for layer in layers] == [False, True, True]
    notes = "\n".join(artifact.notes)
    assert "int8: 2 of the 3 layers" in notes and f"would cost (relative L2): {layers[0].name} (" in notes
    assert "with 1 of 3 layers in fp32" in notes and "KL" in notes and "min-max" in notes
    assert artifact.verdict.passed and artifact.verdict.rel_err_max > 1e-4


def test_a_model_that_int8_would_not_change_is_declined(tmp_path: Path, tools_root: Path) -> None:
    nodes = [helper.make_node("Sigmoid", ["x"], ["y"])]
    with pytest.raises(errors.UnsupportedModel, match="int8 would change nothing") as caught:
        convert(
            request(saved(tmp_path, nodes, {}, 8)),
            tmp_path / "cache",
            lambda phase: None,
            tools_root=tools_root,
        )
    assert "fp16" in caught.value.hint
