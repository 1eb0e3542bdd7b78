"""What `edgeflow inspect` reads of files without running them; .dlc files have a test of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeflow_converters.errors import ModelUnreadable
from edgeflow_converters.formats import Tensor, describe

DLC = Path(__file__).parents[2] / "dlc" / "conv-relu.dlc"
IR = """<?xml version="1.0"?>
<net name="m" version="11"><layers>
<layer id="0" name="x" type="Parameter"><data shape="1,?,4" element_type="f32"/>
<output><port id="0" precision="FP32"><dim>1</dim><dim>-1</dim><dim>4</dim></port></output></layer>
<layer id="1" name="w" type="Const"><data element_type="i64" shape="2, 3" offset="0" size="48"/></layer>
<layer id="2" name="add" type="Add"/>
<layer id="3" name="y" type="Result">
<input><port id="0" precision="FP16"><dim>1</dim><dim>4</dim></port></input></layer>
</layers></net>"""
PARAM = """7767517
3 3
Input in0 0 1 in0 0=8 1=4 2=3
Convolution c 1 1 in0 a 0=8
ReLU r 1 1 a out0
"""


def inputs(path: Path) -> list[Tensor]:
    return [tensor for tensor in describe(path, path.parent).tensors if tensor.kind == "input"]


def test_an_onnx_file_is_told_with_its_weights(tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.ones((2, 3), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [weights],
    )
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    found = describe(path, tmp_path)
    assert (found.operators, found.parameters_bytes) == ({"MatMul": 1}, 24)
    assert Tensor("w", "constant", "float32", (2, 3), 24) in found.tensors
    assert inputs(path) == [Tensor("x", "input", "float32", ("batch", 2))]
    assert found.size_bytes == path.stat().st_size


def test_a_dlc_is_told_with_its_inner_tensors() -> None:
    told = describe(DLC, DLC.parent).to_json()
    assert (told["format"], told["version"], told["operator_total"]) == ("QAIRT DLC", "4", 4)
    assert {tensor["kind"] for tensor in told["tensors"]} == {"input", "output", "inner", "constant"}


def test_ncnn_and_openvino_are_found_by_their_weights_too(tmp_path: Path) -> None:
    (tmp_path / "a.param").write_text(PARAM)
    (tmp_path / "a.bin").write_bytes(b"\0" * 100)
    ncnn = describe(tmp_path / "a.bin", tmp_path)
    assert (ncnn.format, ncnn.parameters_bytes) == ("ncnn", 100)
    assert ncnn.operators == {"Input": 1, "Convolution": 1, "ReLU": 1}
    assert inputs(tmp_path / "a.param") == [Tensor("in0", "input", "float32", (3, 4, 8))]
    (tmp_path / "b.xml").write_text(IR)
    (tmp_path / "b.bin").write_bytes(b"\0" * 48)
    openvino = describe(tmp_path / "b.bin", tmp_path)
    assert (openvino.operators, openvino.parameters_bytes) == ({"Add": 1, "Const": 1}, 48)
    assert Tensor("w", "constant", "int64", (2, 3), 48) in openvino.tensors
    assert inputs(tmp_path / "b.xml") == [Tensor("x", "input", "float32", (1, None, 4))]


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.onnx", b"rubbish", "not an ONNX model"),
        ("a.onnx", b"", "is empty"),
        ("a.dlc", b"rubbish", r"not a whole \.dlc"),
        ("a.param", b"7767517\n9 9\nInput a 0 1 a\n", "not a complete ncnn graph"),
        ("a.param", b"\xff\xfe", "not a complete ncnn graph"),
        ("a.tflite", b"rubbish!", "no TensorFlow Lite model"),
        ("a.tflite", b"\x20\0\0\0TFL3\0\0", "truncated or damaged"),
        ("a.xml", b"<net><layers>", "truncated or no XML"),
        ("a.xml", b"<html/>", "no OpenVINO IR"),
        ("a.xml", b'<!DOCTYPE n [<!ENTITY a "b">]><net/>', "declares entities"),
        ("a.bin", b"\0", "weights alone"),
        ("a.txt", b"hello", "no format that is known"),
    ],
)
def test_what_is_no_model_is_one_line(tmp_path: Path, name: str, data: bytes, why: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ModelUnreadable, match=why) as caught:
        describe(tmp_path / name, tmp_path)
    assert "\n" not in caught.value.message
