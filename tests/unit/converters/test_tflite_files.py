"""What is read out of a .tflite, how its axes are found, and the rewrite that onnx2tf needs."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeflow_converters.errors import ConverterFailed, UnsupportedModel
from edgeflow_converters.rewrites import concat_of_constant_as_pad
from edgeflow_converters.targets.tflite_file import custom_operators
from edgeflow_converters.targets.tflite_layouts import candidates, images


def model_with_custom(name: bytes) -> bytes:
    """The smallest FlatBuffer with one operator code that names a custom operator."""
    words = bytearray(64)
    struct.pack_into("<I4s", words, 0, 16, b"TFL3")
    struct.pack_into("<HHHH", words, 8, 8, 12, 0, 8)  # Model's vtable: field 1 is 8 bytes into the table
    struct.pack_into("<iII", words, 16, 8, 0, 4)  # the table: its vtable is 8 bytes back
    struct.pack_into("<II", words, 28, 1, 12)  # one operator code, 12 bytes after its entry (at 44)
    struct.pack_into("<HHHH", words, 36, 8, 8, 0, 4)  # OperatorCode's vtable, field 1
    struct.pack_into("<iI", words, 44, 8, 4)
    struct.pack_into("<I", words, 52, len(name))
    return bytes(words[:56]) + name + bytes(4)


def test_a_custom_operator_is_read_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(model_with_custom(b"ONNX_GRIDSAMPLE"))
    assert custom_operators(tmp_path / "m.tflite") == ["ONNX_GRIDSAMPLE"]


@pytest.mark.parametrize(
    "content", [b"", b"hello world", b"\xff\xff\xff\x7fTFL3", model_with_custom(b"X")[:40]]
)
def test_what_is_no_model_is_an_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(content)
    with pytest.raises(ConverterFailed, match=r"m\.tflite is"):
        custom_operators(tmp_path / "m.tflite")


@pytest.mark.parametrize(
    ("shape", "runtime_shape", "perms"),
    [
        ([1, 3, 8, 9], [1, 8, 9, 3], [(0, 2, 3, 1)]),
        ([1, 3, 8, 9], [1, 3, 8, 9], [None]),
        ([1, 4, 4, 4], [1, 4, 4, 4], [(0, 2, 3, 1), None]),  # only the values can tell
        ([1, 1, 8, 1], [1, 8, 1, 1], [(0, 2, 3, 1)]),
        ([1, 7, 1], [1, 7, 1], [None]),
        ([2, 1, 1], [2, 1, 1], [(0, 2, 1)]),  # both move the elements alike: no choice
        ([5], [5], [None]),
    ],
)
def test_the_layouts_that_a_shape_allows(shape: list[int], runtime_shape: list[int], perms: object) -> None:
    assert candidates("x", shape, runtime_shape) == perms


def test_a_shape_that_no_layout_makes_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match=r"\[1, 9, 8, 3\] of tensor 'x'"):
        candidates("x", [1, 3, 8, 9], [1, 9, 8, 3])


def graph_of(*nodes: onnx.NodeProto, initializers: object = ()) -> onnx.ModelProto:
    shape = [1, 3, 8, 8]
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        list(initializers),  # type: ignore[call-overload]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])


def test_an_input_is_an_image_if_a_convolution_reads_it_first(tmp_path: Path) -> None:
    def of(*nodes: onnx.NodeProto) -> set[str]:
        onnx.save(graph_of(*nodes), tmp_path / "m.onnx")
        return images(tmp_path / "m.onnx")

    node = helper.make_node
    assert of(node("Mul", ["x", "s"], ["h"]), node("Conv", ["h", "w"], ["y"])) == {"x"}
    assert of(node("Transpose", ["x"], ["h"], perm=[0, 3, 1, 2]), node("Conv", ["h", "w"], ["y"])) == set()
    assert of(node("Conv", ["x", "w"], ["h"]), node("Reshape", ["x", "r"], ["y"])) == set()


@pytest.mark.parametrize("constant_first", [False, True])
def test_padding_of_channels_by_concat_becomes_pad(constant_first: bool) -> None:
    block = numpy_helper.from_array(np.full((1, 2, 8, 8), 0.5, "f4"), "c")
    names = ["c", "x"] if constant_first else ["x", "c"]
    twice = [
        helper.make_node("Concat", names, ["h"], axis=1),
        helper.make_node("Concat", ["h", "c"], ["y"], axis=-3),
    ]
    model = graph_of(*twice, initializers=[block])
    x = np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype("f4")
    from onnx.reference import ReferenceEvaluator

    (expected,) = ReferenceEvaluator(model).run(None, {"x": x})
    changed = concat_of_constant_as_pad.apply(model)
    assert [node.op_type for node in changed.graph.node] == ["Pad", "Pad"]
    (got,) = ReferenceEvaluator(changed).run(None, {"x": x})
    np.testing.assert_array_equal(got, expected)


def test_concat_with_a_block_of_different_numbers_stays() -> None:
    block = numpy_helper.from_array(np.arange(128, dtype="f4").reshape(1, 2, 8, 8), "c")
    model = graph_of(helper.make_node("Concat", ["x", "c"], ["y"], axis=1), initializers=[block])
    assert concat_of_constant_as_pad.apply(model).graph.node[0].op_type == "Concat"
