"""Each rewrite: changes nothing but the form, and its runtime goes wrong without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeflow_converters import rewrites
from edgeflow_converters.base import ConvertRequest
from edgeflow_converters.errors import ConvertError
from edgeflow_converters.pipeline import convert
from edgeflow_converters.targets.mnn import MnnConverter
from edgeflow_converters.targets.ncnn import NcnnConverter
from edgeflow_converters.targets.tflite import TfliteConverter

RANDOM = np.random.default_rng(11)
FLOAT = TensorProto.FLOAT


def constant(name: str, *values: Any, shape: tuple[int, ...] | None = None) -> onnx.TensorProto:
    """An int64 vector of the values, or a random float tensor of a shape."""
    if shape is None:
        return numpy_helper.from_array(np.array(values, np.int64), name)
    return numpy_helper.from_array(
        (RANDOM.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype("f4"), name
    )


def model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[int]],
    outputs: dict[str, list[int]],
    constants: list[onnx.TensorProto],
    opset: int = 13,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in outputs.items()],
        constants,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    return made


def same_padding() -> onnx.ModelProto:
    """A pooling whose SAME padding is one row at the end only."""
    node = helper.make_node
    return model(
        [
            node("Conv", ["x", "w"], ["h"], auto_pad="VALID"),
            node("MaxPool", ["h"], ["p"], kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
            node("Conv", ["p", "v"], ["y"], strides=[2, 2], auto_pad="SAME_LOWER"),
        ],
        {"x": [1, 2, 18, 18]},
        {"y": [1, 3, 4, 4]},
        [constant("w", shape=(4, 2, 3, 3)), constant("v", shape=(3, 4, 3, 3))],
    )


def fused_attention() -> onnx.ModelProto:
    """Query, key and value of four heads from one projection."""
    node = helper.make_node
    picks = []
    for index, name in enumerate(("q", "k", "v")):
        picks += [
            node("Slice", ["heads", f"i{index}", f"i{index + 1}", "i0"], [f"{name}_one"]),
            node("Squeeze", [f"{name}_one", "i0"], [name]),
        ]
    return model(
        [
            node("MatMul", ["x", "w"], ["fused"]),
            node("Reshape", ["fused", "split"], ["five"]),
            node("Transpose", ["five"], ["heads"], perm=[2, 0, 3, 1, 4]),
            *picks,
            node("Transpose", ["k"], ["kt"], perm=[0, 1, 3, 2]),
            node("MatMul", ["q", "kt"], ["scores"]),
            node("Softmax", ["scores"], ["weights"], axis=-1),
            node("MatMul", ["weights", "v"], ["mixed"]),
            node("Transpose", ["mixed"], ["back"], perm=[0, 2, 1, 3]),
            node("Reshape", ["back", "joined"], ["y"]),
        ],
        {"x": [1, 10, 32]},
        {"y": [1, 10, 32]},
        [
            constant("w", shape=(32, 96)),
            constant("split", 1, 10, 3, 4, 8),
            constant("joined", 1, 10, 32),
            *(constant(f"i{index}", index) for index in range(4)),
        ],
    )


def streaming_cell() -> onnx.ModelProto:
    """A convolution, then one LSTM step whose state [h or c, batch, features] goes in and out."""
    node = helper.make_node
    return model(
        [
            node("Conv", ["x", "k"], ["frame"]),
            node("Squeeze", ["frame", "last"], ["features"]),
            node("Unsqueeze", ["features", "zero"], ["step"]),
            node("Gather", ["state", "first"], ["h2"], axis=0),
            node("Gather", ["state", "second"], ["c2"], axis=0),
            node("Unsqueeze", ["h2", "zero"], ["h"]),
            node("Unsqueeze", ["c2", "zero"], ["c"]),
            node("LSTM", ["step", "w", "r", "b", "", "h", "c"], ["all", "h_out", "c_out"], hidden_size=8),
            node("Squeeze", ["h_out", "zero"], ["y"]),
            node("Concat", ["h_out", "c_out"], ["state_out"], axis=0),
        ],
        {"x": [1, 4, 3], "state": [2, 1, 8]},
        {"y": [1, 8], "state_out": [2, 1, 8]},
        [
            constant("w", shape=(1, 32, 6)),
            constant("r", shape=(1, 32, 8)),
            constant("b", shape=(1, 64)),
            constant("k", shape=(6, 4, 3)),
            constant("zero", 0),
            constant("last", 2),
            numpy_helper.from_array(np.array(0), "first"),
            numpy_helper.from_array(np.array(1), "second"),
        ],
    )


def overhanging_pool() -> onnx.ModelProto:
    """A pooling whose padding counts, and whose last window hangs over the edge."""
    node = helper.make_node
    pool = node(
        "AveragePool", ["h"], ["p"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, ceil_mode=1,
        count_include_pad=1,
    )  # fmt: skip
    return model(
        [node("Conv", ["x", "w"], ["h"]), pool, node("Conv", ["p", "v"], ["y"])],
        {"x": [1, 3, 17, 17]},
        {"y": [1, 4, 9, 9]},
        [constant("w", shape=(4, 3, 2, 2)), constant("v", shape=(4, 4, 1, 1))],
    )


def unstrided_pool() -> onnx.ModelProto:
    node = helper.make_node
    return model(
        [node("Conv", ["x", "w"], ["h"]), node("MaxPool", ["h"], ["y"], kernel_shape=[2, 2])],
        {"x": [1, 2, 8, 8]},
        {"y": [1, 4, 5, 5]},
        [constant("w", shape=(4, 2, 3, 3))],
    )


def root_mean_square() -> onnx.ModelProto:
    node = helper.make_node
    return model(
        [node("MatMul", ["x", "w"], ["h"]), node("RMSNormalization", ["h", "s"], ["y"], epsilon=1e-3)],
        {"x": [1, 5, 8]},
        {"y": [1, 5, 6]},
        [constant("w", shape=(8, 6)), constant("s", shape=(6,))],
        opset=23,
    )


def masked() -> onnx.ModelProto:
    """Values above a threshold and unlike their neighbour's maximum, and -1 elsewhere."""
    node = helper.make_node
    return model(
        [
            node("Conv", ["x", "w"], ["h"], pads=[1] * 4),
            node("MaxPool", ["h"], ["m"], kernel_shape=[3, 3], pads=[1] * 4),
            node("Greater", ["h", "low"], ["above"]),
            node("Equal", ["h", "m"], ["peak"]),
            node("Not", ["peak"], ["other"]),
            node("And", ["above", "other"], ["both"]),
            node("Where", ["both", "h", "low"], ["y"]),
        ],
        {"x": [1, 2, 8, 8]},
        {"y": [1, 3, 8, 8]},
        [constant("w", shape=(3, 2, 3, 3)), numpy_helper.from_array(np.array(-0.2, "f4"), "low")],
    )


def full_mean() -> onnx.ModelProto:
    node = helper.make_node
    return model(
        [
            node("Conv", ["x", "w"], ["h"]),
            node("ReduceL1", ["h", "none"], ["m"]),
            node("Mul", ["h", "m"], ["y"]),
        ],
        {"x": [1, 2, 8, 8]},
        {"y": [1, 3, 6, 6]},
        [constant("w", shape=(3, 2, 3, 3)), constant("none")],
        opset=18,
    )


def axis_sum() -> onnx.ModelProto:
    node = helper.make_node
    return model(
        [
            node("Conv", ["x", "w"], ["h"]),
            node("ReduceSum", ["h", "axis"], ["s"]),
            node("Sub", ["h", "s"], ["y"]),
        ],
        {"x": [1, 2, 8, 8]},
        {"y": [1, 3, 6, 6]},
        [constant("w", shape=(3, 2, 3, 3)), constant("axis", 1)],
    )


def cropped() -> onnx.ModelProto:
    """More columns, fewer rows, by the form that names its axes."""
    node = helper.make_node
    return model(
        [node("Conv", ["x", "w"], ["h"]), node("Pad", ["h", "widths", "", "axes"], ["y"])],
        {"x": [1, 2, 8, 8]},
        {"y": [1, 3, 5, 9]},
        [constant("w", shape=(3, 2, 3, 3)), constant("widths", -1, 1, 0, 2), constant("axes", 2, 3)],
        opset=18,
    )


def widened() -> onnx.ModelProto:
    """Two columns and a channel more, of a value that is not said."""
    node = helper.make_node
    return model(
        [node("Conv", ["x", "w"], ["h"]), node("Pad", ["h", "widths"], ["p"]), node("Relu", ["p"], ["y"])],
        {"x": [1, 2, 8, 8]},
        {"y": [1, 4, 6, 8]},
        [constant("w", shape=(3, 2, 3, 3)), constant("widths", 0, 1, 0, 0, 0, 0, 0, 2)],
    )


def three_way() -> onnx.ModelProto:
    node = helper.make_node
    return model(
        [
            node("Conv", ["x", "w"], ["a"]),
            node("Sigmoid", ["a"], ["b"]),
            node("Tanh", ["a"], ["c"]),
            node("Max", ["a", "b", "c"], ["m"]),
            node("Mean", ["m"], ["y"]),
        ],
        {"x": [1, 2, 8, 8]},
        {"y": [1, 3, 6, 6]},
        [constant("w", shape=(3, 2, 3, 3))],
    )


def counted_below() -> onnx.ModelProto:
    node = helper.make_node
    return model(
        [
            node("Conv", ["x", "w"], ["h"]),
            node("Less", ["h", "x"], ["below"]),
            node("Cast", ["below"], ["y"], to=FLOAT),
        ],
        {"x": [1, 2, 8, 8]},
        {"y": [1, 2, 8, 8]},
        [constant("w", shape=(2, 2, 1, 1))],
    )


def modulated() -> onnx.ModelProto:
    """A normalization whose scale and bias the model computes, as style transfer has it."""
    node = helper.make_node
    return model(
        [
            node("Conv", ["x", "w"], ["h"]),
            node("GlobalAveragePool", ["x"], ["p"]),
            node("Conv", ["p", "u"], ["q"]),
            node("Reshape", ["q", "flat"], ["s"]),
            node("InstanceNormalization", ["h", "s", "s"], ["y"]),
        ],
        {"x": [1, 2, 8, 8]},
        {"y": [1, 3, 6, 6]},
        [constant("w", shape=(3, 2, 3, 3)), constant("u", shape=(3, 2, 1, 1)), constant("flat", 3)],
    )


def has(node: onnx.NodeProto, attribute: str) -> bool:
    return any(each.name == attribute for each in node.attribute)


def spoken() -> onnx.ModelProto:
    """An LSTM in both directions, whose hidden state begins as nothing and whose cell as a constant."""
    random = np.random.default_rng(5)
    weights = {
        "w": random.normal(size=(2, 12, 4)) / 2,
        "r": random.normal(size=(2, 12, 3)) / 2,
        "b": random.normal(size=(2, 24)),
        "c": random.normal(size=(2, 1, 3)),
    }
    lstm = helper.make_node(
        "LSTM", ["x", "w", "r", "b", "", "", "c"], ["y"], hidden_size=3, direction="bidirectional"
    )
    graph = helper.make_graph(
        [lstm],
        "spoken",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [5, 1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [5, 2, 1, 3])],
        [numpy_helper.from_array(value.astype("f4"), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def begins_the_same(each: onnx.NodeProto) -> bool:
    return each.op_type == "LSTM" and (len(each.input) < 6 or not each.input[5])


CASES = {
    "state_of_every_run": (spoken, begins_the_same),
    "explicit_padding": (same_padding, lambda node: has(node, "auto_pad")),
    "booleans_as_arithmetic": (masked, lambda node: node.op_type in ("Greater", "Less", "Equal", "And")),
    "explicit_axes": (full_mean, lambda node: "none" in node.input),
    "reduce_sum_as_mean": (axis_sum, lambda node: node.op_type == "ReduceSum"),
    "explicit_pad": (cropped, lambda node: node.op_type == "Pad" and len(node.input) != 3),
    "variadic_as_binary": (three_way, lambda node: node.op_type in ("Max", "Mean") and len(node.input) != 2),
    "less_as_greater": (counted_below, lambda node: node.op_type == "Less"),
    "norms_of_computed_scale": (modulated, lambda node: node.op_type == "InstanceNormalization"),
    "split_fused_heads": (fused_attention, lambda node: any(len(a.ints) == 5 for a in node.attribute)),
    "single_step_lstm": (streaming_cell, lambda node: node.op_type == "LSTM"),
    "state_batch_first": (streaming_cell, lambda node: node.op_type == "Gather"),
    "average_pool_of_padded": (overhanging_pool, lambda node: has(node, "count_include_pad")),
    "explicit_strides": (unstrided_pool, lambda node: node.op_type == "MaxPool" and not has(node, "strides")),
    "rms_normalization_as_arithmetic": (root_mean_square, lambda node: node.op_type == "RMSNormalization"),
}  # fmt: skip


def random_inputs(made: onnx.ModelProto, seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {
        value.name: random.normal(size=[dim.dim_value for dim in value.type.tensor_type.shape.dim]).astype(
            "f4"
        )
        for value in made.graph.input
    }


@pytest.mark.parametrize("name", CASES)
def test_a_rewrite_changes_the_form_and_not_the_result(name: str) -> None:
    from onnxruntime import InferenceSession

    make, is_old_form = CASES[name]
    before = make()
    after = onnx.ModelProto()
    after.CopyFrom(before)
    after = rewrites.get(name)(after)
    assert any(is_old_form(node) for node in before.graph.node)
    assert not any(is_old_form(node) for node in after.graph.node)
    onnx.checker.check_model(after, full_check=True)
    for seed in range(3):
        inputs = random_inputs(before, seed)
        expected, actual = [
            InferenceSession(each.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, inputs)
            for each in (before, after)
        ]
        for wanted, got in zip(expected, actual, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_a_rewrite_leaves_other_models_alone(name: str) -> None:
    for other, (make, is_old_form) in CASES.items():
        before = make()
        if other == name or any(CASES[name][1](node) for node in before.graph.node):
            continue
        after = onnx.ModelProto()
        after.CopyFrom(before)
        assert rewrites.get(name)(after) == before or is_old_form is CASES[name][1]


@pytest.mark.network
@pytest.mark.parametrize(
    ("target", "name"),
    [
        *(
            (NcnnConverter, name)
            for name in CASES
            if name in NcnnConverter.rewrites and name != "explicit_pad"
        ),
        (TfliteConverter, "average_pool_of_padded"),
        (MnnConverter, "explicit_strides"),
        (MnnConverter, "rms_normalization_as_arithmetic"),
        (TfliteConverter, "rms_normalization_as_arithmetic"),
        (MnnConverter, "less_as_greater"),
        (TfliteConverter, "explicit_pad"),
    ],
)
def test_the_runtime_goes_wrong_without_it(
    target: Any, name: str, tmp_path: Path, tools_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = CASES[name][0]()
    onnx.save(made, tmp_path / "model.onnx")
    samples = [random_inputs(made, seed) for seed in range(3)]
    request = ConvertRequest(tmp_path / "model.onnx", target.name, "fp32", {}, samples)
    artifact = convert(request, tmp_path / "with", lambda phase: None, tools_root=tools_root)
    assert f"rewrite {name}" in artifact.notes
    monkeypatch.setattr(target, "rewrites", tuple(each for each in target.rewrites if each != name))
    with pytest.raises(ConvertError):
        convert(request, tmp_path / "without", lambda phase: None, tools_root=tools_root)
