"""Inputs that are settings become constants, and numbers of types that a runtime lacks others: the same
model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeflow_converters import older_opset, retype, structure
from edgeflow_converters.errors import ShapeMismatch
from edgeflow_converters.inspect import inspect_model, standard_opset

node = helper.make_node
value = helper.make_tensor_value_info
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    weights: list[onnx.TensorProto] | None = None,
    opset: int = 18,
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "test", inputs, outputs, weights or [])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.checker.check_model(made, full_check=True)
    return made


def run(made: onnx.ModelProto, inputs: dict[str, Any]) -> Any:
    from onnxruntime import InferenceSession

    session = InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def reduced() -> onnx.ModelProto:
    """The axes of the sum are a setting, `offset` is not, and `size` is both."""
    return model(
        [
            node("ReduceMean", ["x", "axes"], ["m"], keepdims=0),
            node("Add", ["m", "offset"], ["a"]),
            node("Reshape", ["a", "size"], ["r"]),
            node("Cast", ["size"], ["s"], to=FLOAT),
            node("Add", ["r", "s"], ["y"]),
        ],
        [
            value("x", FLOAT, [2, 3]),
            value("axes", INT64, [1]),
            value("offset", FLOAT, [1]),
            value("size", INT64, [1]),
        ],
        [value("y", FLOAT, [2])],
    )


def sample(axis: int = 1) -> dict[str, Any]:
    return {
        "x": np.arange(6, dtype="f4").reshape(2, 3),
        "axes": np.array([axis]),
        "offset": np.array([0.5], "f4"),
        "size": np.array([2]),
    }


def test_what_only_says_how_operators_work_is_pinned(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(reduced(), path)
    ports = inspect_model(path).inputs
    pinned = structure.pinned_values(path, ports, [sample(), sample()])
    assert {name: array.tolist() for name, array in pinned.items()} == {"axes": [1]}
    assert structure.pinned_values(path, ports, [sample(), sample(axis=0)]) == {}
    structure.write_pinned(path, pinned, tmp_path / "pinned.onnx")
    after = onnx.load(tmp_path / "pinned.onnx")
    assert [port.name for port in after.graph.input] == ["x", "offset", "size"]
    np.testing.assert_array_equal(run(after, structure.without(sample(), pinned)), run(reduced(), sample()))


def test_another_value_than_the_pinned_one_is_refused() -> None:
    structure.require_pinned({"axes": [1]}, sample())
    structure.require_pinned({}, sample())
    with pytest.raises(ShapeMismatch, match=r"input 'axes' is \[0\], the product was made for \[1\]"):
        structure.require_pinned({"axes": [1]}, sample(axis=0))


def test_types_give_way_to_others_and_shapes_do_not() -> None:
    double = TensorProto.DOUBLE
    made = model(
        [
            node("Add", ["x", "w"], ["a"]),
            node("Reshape", ["a", "shape"], ["r"]),
            node("Cast", ["r"], ["c"], to=TensorProto.INT8),
            node("Cast", ["c"], ["y"], to=double),
        ],
        [value("x", double, [2, 3])],
        [value("y", double, [3, 2])],
        [numpy_helper.from_array(np.ones(3), "w"), numpy_helper.from_array(np.array([3, 2]), "shape")],
    )
    after = retype.retyped(made, {"float64": "float32", "int8": "int32", "int64": "float32"})
    onnx.checker.check_model(after, full_check=True)
    assert after.graph.input[0].type.tensor_type.elem_type == FLOAT
    assert [item.i for each in after.graph.node for item in each.attribute if item.name == "to"] == [
        TensorProto.INT32,
        FLOAT,
    ]
    x = np.array([[1.6, -2.5, 3], [4, 5, 6]])
    np.testing.assert_array_equal(run(after, {"x": x.astype("f4")}), run(made, {"x": x}).astype("f4"))


def test_whole_numbers_inside_alone_are_left_alone() -> None:
    made = model(
        [node("Gather", ["x", "i"], ["y"])],
        [value("x", FLOAT, [4])],
        [value("y", FLOAT, [2])],
        [numpy_helper.from_array(np.array([0, 3]), "i")],
    )
    assert retype.retyped(made, {"int64": "float32"}) is made


def test_bools_at_the_ports_are_numbers() -> None:
    kind = TensorProto.BOOL
    made = model(
        [node("Not", ["x"], ["n"]), node("Or", ["n", "z"], ["y"])],
        [value("x", kind, [4]), value("z", kind, [4])],
        [value("y", kind, [4])],
    )
    after = retype.with_flags_as(made, "int32")
    onnx.checker.check_model(after, full_check=True)
    x, z = np.array([True, False, True, False]), np.array([False, False, True, True])
    got = run(after, {"x": x.astype("i4"), "z": z.astype("i4")})
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got.astype(bool), run(made, {"x": x, "z": z}))


@pytest.mark.parametrize(
    ("kind", "opset", "wanted", "got"),
    [
        ("ReduceMean", 18, 17, 17),  # by the version converter: the axes become an attribute
        ("Relu", 21, 17, 17),
        ("Relu", 13, 17, 13),
        ("Gelu", 22, 17, 20),  # has no way down: the oldest opset in which it is what it is
    ],
)
def test_an_older_opset_or_the_oldest_that_has_it(kind: str, opset: int, wanted: int, got: int) -> None:
    reduces = kind == "ReduceMean"
    made = model(
        [node(kind, ["x", "axes"] if reduces else ["x"], ["y"])],
        [value("x", FLOAT, [2, 3])],
        [value("y", FLOAT, [2, 1] if reduces else [2, 3])],
        [numpy_helper.from_array(np.array([1]), "axes")] if reduces else [],
        opset=opset,
    )
    after = older_opset.older(made, wanted)
    after.ir_version = 9
    onnx.checker.check_model(after, full_check=True)
    assert standard_opset(after) == got
    x = np.array([[1, -2, 4], [3, 5, -6]], "f4")
    np.testing.assert_allclose(run(after, {"x": x}), run(made, {"x": x}), rtol=1e-6)
