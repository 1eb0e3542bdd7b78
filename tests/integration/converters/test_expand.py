"""Operators written out for the runtimes that lack them: the same numbers, and no product without it."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeflow_converters import expand, pipeline, prepare
from edgeflow_converters.base import ConvertRequest
from edgeflow_converters.coverage import suites
from edgeflow_converters.coverage.case import Case
from edgeflow_converters.errors import ConvertError

OPSET = 24  # the first that has all of them
SHAPE = [1, 4, 6, 6]
ATTRIBUTES: dict[str, dict[str, Any]] = {"GroupNormalization": {"num_groups": 2}}
WEIGHTS = {"GroupNormalization": [4, 4]}
SIMPLE = frozenset(
    {
        "Celu", "Elu", "GroupNormalization", "MeanVarianceNormalization", "Mish", "ReduceL1", "ReduceL2",
        "ReduceLogSumExp", "ReduceSumSquare", "Shrink", "Softsign", "Swish", "ThresholdedRelu",
    }
)  # fmt: skip
"""What can stand in a chain. The others are held by the counts of coverage."""
_CHAIN = 5
"""MNN 3.6.1 gets ten of them in a row wrong, each of which it gets right."""
AXES = ("ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceSumSquare")


@cache
def node_cases() -> list[tuple[Case, onnx.ModelProto]]:
    """ONNX's own tests of single nodes."""
    with tempfile.TemporaryDirectory() as folder:
        return [(case, onnx.load(case.write(Path(folder)))) for case in suites.cases("onnx-node")]


def chain(operators: tuple[str, ...]) -> onnx.ModelProto:
    """A convolution, then each operator on what is before it; a reduction leaves a channel that is added to
    it."""
    node = helper.make_node
    random = np.random.default_rng(5)
    constants = {"w": (random.normal(size=(4, 3, 3, 3)) / 3).astype("f4"), "axis": np.array([1])}
    nodes = [node("Conv", ["x", "w"], ["value"], pads=[1] * 4)]
    last = "value"
    for index, name in enumerate(operators):
        inputs = [last, "axis"] if name in AXES else [last]
        for number, length in enumerate(WEIGHTS.get(name, ())):
            inputs.append(f"{name}_{number}")
            constants[inputs[-1]] = random.normal(size=length).astype("f4")
        nodes.append(node(name, inputs, [f"part{index}"], name=f"the_{name}", **ATTRIBUTES.get(name, {})))
        nodes.append(node("Add", [last, f"part{index}"], [f"sum{index}"]))
        last = f"sum{index}"
    nodes.append(node("Relu", [last], ["y"]))
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, SHAPE)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def inputs(seed: int) -> dict[str, Any]:
    return {"x": np.random.default_rng(seed).normal(size=(1, 3, 6, 6)).astype("f4")}


@pytest.mark.parametrize("name", sorted({name for names in expand.LACKS.values() for name in names}))
def test_what_is_written_out_computes_the_same(name: str) -> None:
    from onnx.reference import ReferenceEvaluator

    case, before = next(
        (case, model)
        for case, model in node_cases()
        if model.graph.node[0].op_type == name and case.inputs and case.expected
    )
    after = expand.expanded(before, [name])
    assert name not in [node.op_type for node in after.graph.node]
    assert name == "CastLike" or "CastLike" not in [node.op_type for node in after.graph.node]
    names = [output.name for output in after.graph.output]
    got = ReferenceEvaluator(after).run(None, dict(case.inputs[0]))
    for output, array in zip(names, got, strict=True):
        np.testing.assert_allclose(array, case.expected[0][output], rtol=1e-3, atol=1e-5)


def test_a_model_without_any_is_left_alone() -> None:
    made = chain(("Softsign",))
    assert expand.expanded(made, ["Mish"]) is made


@pytest.mark.network
@pytest.mark.parametrize("runtime", expand.LACKS)
def test_the_runtime_takes_them_written_out_and_not_as_they_are(
    runtime: str, tmp_path: Path, tools_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = tuple(name for name in expand.LACKS[runtime] if name in SIMPLE)
    onnx.save(chain(names[:_CHAIN]), tmp_path / "model.onnx")
    request = ConvertRequest(tmp_path / "model.onnx", runtime, "fp32", {}, [inputs(0), inputs(1)])
    artifact = pipeline.convert(request, tmp_path / "with", lambda phase: None, tools_root=tools_root)
    assert "operators that the runtime lacks written out" in artifact.notes
    monkeypatch.setattr(prepare, "LACKS", {})
    with pytest.raises(ConvertError):
        pipeline.convert(request, tmp_path / "without", lambda phase: None, tools_root=tools_root)
