"""What acceptance.py lets through does run: control flow, sequences and strings where there are any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeflow_converters.base import ConvertRequest
from edgeflow_converters.pipeline import convert

FLOAT, SHAPE = TensorProto.FLOAT, [1, 2, 4, 4]
node = helper.make_node


def value(name: str, kind: int = FLOAT, shape: list[int] | None = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, SHAPE if shape is None else shape)


def eventful() -> onnx.ModelProto:
    """An If on the input's mean, then a Loop that doubles until a limit is reached."""

    def branch(op: str) -> onnx.GraphProto:
        return helper.make_graph([node(op, ["x"], [op])], op, [], [value(op)])

    body = helper.make_graph(
        [
            node("Add", ["v", "v"], ["w"]),
            node("ReduceMax", ["w"], ["top"], keepdims=0),
            node("Less", ["top", "limit"], ["goes_on"]),
        ],
        "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("v")],
        [value("goes_on", TensorProto.BOOL, []), value("w")],
    )
    graph = helper.make_graph(
        [
            node("ReduceMean", ["x"], ["mean"], keepdims=0),
            node("Greater", ["mean", "zero"], ["k"]),
            node("If", ["k"], ["chosen"], then_branch=branch("Exp"), else_branch=branch("Sigmoid")),
            node("Loop", ["most", "true", "chosen"], ["y"], body=body),
        ],
        "eventful",
        [value("x")],
        [value("y")],
        [
            numpy_helper.from_array(np.array(content, kind), name)
            for name, content, kind in (
                ("zero", 0, "f4"),
                ("limit", 9, "f4"),
                ("most", 20, "i8"),
                ("true", True, "?"),
            )
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def wordy() -> onnx.ModelProto:
    """Numbers to text and back, and through a sequence."""
    graph = helper.make_graph(
        [
            node("Cast", ["x"], ["text"], to=TensorProto.STRING),
            node("Cast", ["text"], ["number"], to=FLOAT),
            node("SplitToSequence", ["number", "one"], ["parts"], axis=1),
            node("ConcatFromSequence", ["parts"], ["y"], axis=2),
        ],
        "wordy",
        [value("x")],
        [value("y", shape=[1, 1, 8, 4])],
        [numpy_helper.from_array(np.array(1), "one")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.network
@pytest.mark.parametrize(
    ("runtime", "make"), [("onnxruntime", eventful), ("onnxruntime", wordy), ("openvino", eventful)]
)
def test_what_is_let_through_runs(
    runtime: str, make: Callable[[], onnx.ModelProto], tmp_path: Path, tools_root: Path
) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(make(), path)
    random = np.random.default_rng(0)
    samples = [{"x": (random.normal(size=SHAPE) + mean).astype("f4")} for mean in (2, -2, 3)]
    request = ConvertRequest(path, runtime, "fp32", {}, samples, timeout_s=60)
    artifact = convert(request, tmp_path / "cache", lambda phase: None, tools_root=tools_root)
    assert artifact.verdict.passed and not artifact.verdict.warnings
