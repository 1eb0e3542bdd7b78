"""Paddle programs as a source: what is read back is what was written, and what is no program is told so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeflow_converters.errors import ModelUnreadable, UnsupportedModel
from edgeflow_converters.paddle.program import Program
from edgeflow_converters.paddle.read import parameters_of, read_program
from edgeflow_converters.paddle.writer import write_program
from edgeflow_converters.sources.paddle.mirror import write_onnx

RANDOM = np.random.default_rng(5)
NET = [  # operator, constants, attributes
    ("Conv", [RANDOM.standard_normal((6, 3, 3, 3))], {"pads": [1, 0, 1, 2], "strides": [2, 1]}),
    ("BatchNormalization", [*RANDOM.standard_normal((3, 6)), RANDOM.random(6) + 1], {}),
    ("HardSwish", [], {}),
    ("MaxPool", [], {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 1, 0, 1]}),
    ("Mul", [RANDOM.standard_normal((6, 1, 1))], {}),
    ("PRelu", [RANDOM.standard_normal((6, 1, 1))], {}),
    ("Resize", [np.zeros(0), np.array([1, 1, 2, 2])], {"mode": "linear"}),
    ("ReduceMean", [], {"axes": [3], "keepdims": 0}),
    ("Transpose", [], {"perm": [0, 2, 1]}),
    ("MatMul", [RANDOM.standard_normal((6, 5))], {}),
    ("LayerNormalization", [RANDOM.standard_normal(5), RANDOM.standard_normal(5)], {}),
    ("Softmax", [], {"axis": -1}),
    ("Flatten", [], {"axis": 1}),
]  # fmt: skip


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A program of many families by our own writer, whose products Paddle Lite executes in other tests; with
    the ONNX model that it was written from, as m.onnx beside it."""
    nodes, constants, at = [], [], "x"
    for number, (kind, values, attributes) in enumerate(NET):
        names = [f"c{number}_{place}" if value.size else "" for place, value in enumerate(values)]
        constants += [
            numpy_helper.from_array(value.astype(np.float32), name)
            for name, value in zip(names, values, strict=True)
            if name
        ]
        nodes.append(helper.make_node(kind, [at, *names], [f"t{number}"], name=kind, **attributes))
        at = f"t{number}"
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 9])],
        [helper.make_tensor_value_info(at, TensorProto.FLOAT, None)],
        constants,
    )
    opset = [helper.make_opsetid("", 17)]
    model = onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=opset, ir_version=8))
    onnx.save(model, tmp_path / "m.onnx")
    program = tmp_path / "m.pdmodel"
    write_program(tmp_path / "m.onnx", program, parameters_of(program))
    return program


def answer(model: Path, x: Any) -> Any:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {session.get_inputs()[0].name: x})
    return result


def test_what_was_written_is_read_back_and_computes_the_same(pair: Path, tmp_path: Path) -> None:
    write_onnx(pair, tmp_path / "back.onnx")
    x = RANDOM.standard_normal((1, 3, 8, 9)).astype(np.float32)
    expected = answer(tmp_path / "m.onnx", x)
    np.testing.assert_allclose(answer(tmp_path / "back.onnx", x), expected, rtol=1e-4, atol=1e-6)
    names = [each.name for each in read_program(pair).fed()]
    assert names == [port.name for port in onnx.load(tmp_path / "back.onnx").graph.input]


@pytest.mark.parametrize("keep", [0, 1, 40, 0.5, 0.99])
def test_a_cut_program_is_told(pair: Path, keep: float) -> None:
    content = pair.read_bytes()
    pair.write_bytes(content[: keep if isinstance(keep, int) else int(len(content) * keep)])
    with pytest.raises(ModelUnreadable, match=r"m\.pdmodel is no Paddle program"):
        read_program(pair)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: None, r"there is no m\.pdiparams beside it"),
        (lambda data: data[:-3], r"m\.pdiparams is cut"),
        (lambda data: data[:30], r"m\.pdiparams is cut"),
        (lambda data: data + b"\0", "it holds more parameters"),
        (lambda data: b"\xff" * len(data), r"m\.pdiparams"),
    ],
    ids=["missing", "cut", "cut early", "longer", "rubbish"],
)
def test_parameters_that_do_not_fit_are_told(pair: Path, damage: Any, words: str) -> None:
    parameters = parameters_of(pair)
    content = damage(parameters.read_bytes())
    parameters.unlink() if content is None else parameters.write_bytes(content)
    with pytest.raises(ModelUnreadable, match=words):
        read_program(pair)


def test_parameters_of_another_program_are_told(pair: Path, tmp_path: Path) -> None:
    program = Program()
    for name, shape in sorted((each.name, each.shape) for each in read_program(pair).variables.values()):
        if name.startswith("w_"):
            program.parameter(np.zeros(shape[::-1], np.float32))
    program.save(tmp_path / "other.pdmodel", parameters_of(pair))
    with pytest.raises(ModelUnreadable, match=r"m\.pdiparams (does not belong to|is cut)"):
        read_program(pair)


def test_a_program_of_paddle_3_says_how_to_export_it(tmp_path: Path) -> None:
    (tmp_path / "m.pdmodel").write_text('{"base_code": {"magic": "pir"}}')
    with pytest.raises(UnsupportedModel, match="PaddlePaddle 3") as caught:
        read_program(tmp_path / "m.pdmodel")
    assert "FLAGS_enable_pir_api=0" in caught.value.hint


@pytest.mark.parametrize(
    ("kind", "attributes", "words"),
    [
        ("yolo_box", {}, "reads no such operation"),
        ("dropout", {"is_test": False}, "training mode"),
        ("pool2d", {"adaptive": True, "ksize": [3, 3]}, "different sizes"),
        ("pool2d", {"data_format": "NHWC", "ksize": [1, 1]}, "layout is NHWC"),
    ],
)
def test_what_cannot_be_mirrored_is_declined_by_name(
    kind: str, attributes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    program = Program()
    source, result = (program.tensor("float32", (1, 2, 4, 4)) for _ in range(2))
    program.operation("feed", {"X": ["feed"]}, {"Out": [source]}, col=0)
    program.operation(kind, {"X": [source]}, {"Out": [result]}, **attributes)
    program.operation("fetch", {"X": [result]}, {"Out": ["fetch"]}, col=0)
    program.save(tmp_path / "m.pdmodel", tmp_path / "m.pdiparams")
    with pytest.raises(UnsupportedModel, match=f"{kind} '{result}'.*{words}"):
        write_onnx(tmp_path / "m.pdmodel", tmp_path / "m.onnx")
