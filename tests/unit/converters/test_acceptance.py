"""What each runtime declines, by the node's name, before any tool runs; and what it does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeflow_converters.acceptance import LIMITS, require_expressible
from edgeflow_converters.errors import UnsupportedModel
from edgeflow_converters.inspect import inspect_model

FLOAT, SHAPE = TensorProto.FLOAT, [1, 2, 4, 4]
ALL = tuple(LIMITS)
BOTH = ("paddlelite", "snpe")
"""Their own converters know nothing of control flow, strings and the like either."""
Models = dict[str, Callable[[], onnx.ModelProto]]
node = helper.make_node


def value(name: str, kind: int = FLOAT, shape: list[int] | None = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, SHAPE if shape is None else shape)


def constant(name: str, content: Any, kind: str = "f4") -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(content, kind), name)


def model(
    nodes: list[onnx.NodeProto], *constants: onnx.TensorProto, opset: int = 17, domain: str = "", **ports: Any
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes, "g", ports.get("inputs", [value("x")]), ports.get("outputs", [value("y")]), list(constants)
    )
    opsets = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def one(op: str, *inputs: str, to: list[str] | None = None, **attributes: Any) -> onnx.NodeProto:
    return node(op, list(inputs), to or ["y"], name=f"the {op}", **attributes)


def choice(condition: list[onnx.NodeProto], *constants: onnx.TensorProto) -> onnx.ModelProto:
    def branch(op: str) -> onnx.GraphProto:
        return helper.make_graph([node(op, ["x"], [op])], op, [], [value(op)])

    chosen = one("If", "k", then_branch=branch("Relu"), else_branch=branch("Neg"))
    return model([*condition, chosen], *constants)


def loop(*, counted: bool) -> onnx.ModelProto:
    goes_on = [node("Identity", ["go"], ["goes_on"])]
    if not counted:
        goes_on = [node("ReduceMax", ["v"], ["top"], keepdims=0), node("Less", ["top", "limit"], ["goes_on"])]
    body = helper.make_graph(
        [*goes_on, node("Exp", ["v"], ["w"])],
        "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("v")],
        [value("goes_on", TensorProto.BOOL, []), value("w")],
    )
    return model(
        [one("Loop", "n", "go on", "x", body=body)],
        constant("n", 3, "i8"),
        constant("go on", True, "?"),
        constant("limit", 9.0),
    )


def scan() -> onnx.ModelProto:
    row = [4]
    body = helper.make_graph(
        [node("Add", ["s", "e"], ["t"]), node("Identity", ["t"], ["u"])],
        "body",
        [value("s", shape=row), value("e", shape=row)],
        [value("t", shape=row), value("u", shape=row)],
    )
    return model(
        [one("Scan", "s0", "x", to=["last", "y"], body=body, num_scan_inputs=1)],
        constant("s0", [0] * 4),
        inputs=[value("x", shape=[5, 4])],
        outputs=[value("y", shape=[5, 4])],
    )


def depends_on_values() -> onnx.ModelProto:
    return choice([node("ReduceMax", ["x"], ["m"], keepdims=0), node("Greater", ["m", "z"], ["k"])],
                  constant("z", 0.0))  # fmt: skip


def depends_on_shape() -> onnx.ModelProto:
    return choice(
        [node("Shape", ["x"], ["s"]), node("Gather", ["s", "i"], ["d"]), node("Equal", ["d", "i"], ["k"])],
        constant("i", 1, "i8"),
    )


def batch_norm() -> onnx.ModelProto:
    weights = [constant(name, [1, 1]) for name in "sbmv"]
    return model([one("BatchNormalization", "x", *"sbmv", to=["y", "p", "q"], training_mode=1)], *weights)


def dropout(*, trains: bool) -> onnx.ModelProto:
    return model([one("Dropout", "x", "r", "t")], constant("r", 0.5), constant("t", trains, "?"))


def own_function() -> onnx.ModelProto:
    twice = helper.make_function(
        "mine", "Twice", ["a"], ["b"], [node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    made = model([one("Twice", "x", domain="mine")], domain="mine")
    made.functions.append(twice)
    return made


def sparse() -> onnx.ModelProto:
    made = model([one("Add", "x", "few")])
    dense = constant("few", [1.0])
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(dense, constant("at", [2], "i8"), [4]))
    return made


def arithmetic(kind: int) -> onnx.ModelProto:
    return model(
        [
            node("Cast", ["x"], ["a"], to=kind),
            one("Add", "a", "a", to=["b"]),
            node("Cast", ["b"], ["y"], to=FLOAT),
        ]
    )


def axes(count: int) -> onnx.ModelProto:
    sizes = [2, 2, 2, *[1] * (count - 4), 4]
    return model(
        [
            one("Reshape", "x", "to", to=["r"]),
            node("Exp", ["r"], ["e"]),
            node("Reshape", ["e", "back"], ["y"]),
        ],
        constant("to", sizes, "i8"),
        constant("back", SHAPE, "i8"),
    )


DECLINED: dict[str, tuple[Callable[[], onnx.ModelProto], str, tuple[str, ...]]] = {
    "an If on values": (depends_on_values, "If node 'the If'", ("mnn", "ncnn", "tflite", *BOTH)),
    "a Loop on values": (
        lambda: loop(counted=False), "Loop node 'the Loop'", ("mnn", "ncnn", "tflite", *BOTH),
    ),
    "a counted Loop": (lambda: loop(counted=True), "Loop node 'the Loop'", ("mnn", "ncnn", *BOTH)),
    "a Scan": (scan, "Scan node 'the Scan'", ("mnn", "ncnn", "tflite", *BOTH)),
    "strings": (
        lambda: model([node("Cast", ["x"], ["s"], name="the Cast", to=TensorProto.STRING),
                       node("Cast", ["s"], ["y"], to=FLOAT)]),
        "Cast node 'the Cast'", ("openvino", "mnn", "ncnn", "tflite", *BOTH),
    ),
    "a sequence": (
        lambda: model([one("SplitToSequence", "x", "n", to=["q"], axis=1),
                       node("ConcatFromSequence", ["q"], ["y"], axis=1)], constant("n", 1, "i8")),
        "SplitToSequence node 'the SplitToSequence'", ("ncnn", "tflite", *BOTH),
    ),
    "an optional": (
        lambda: model([one("Optional", "x", to=["o"]), node("OptionalGetElement", ["o"], ["y"])]),
        "Optional node 'the Optional'", ("ncnn", "tflite", *BOTH),
    ),
    "a sparse weight": (sparse, "weight 'few'", ("openvino", "mnn", "ncnn", "tflite", *BOTH)),
    "Dropout that trains": (lambda: dropout(trains=True), "Dropout node 'the Dropout'", ALL),
    "BatchNormalization that trains": (batch_norm, "BatchNormalization node", ALL),
    "a training operator": (
        lambda: model([one("Gradient", "x", domain="ai.onnx.preview.training", xs=["x"], y="x")],
                      domain="ai.onnx.preview.training"),
        "ai.onnx.preview.training::Gradient node 'the Gradient'", ALL,
    ),
    "an operator of nobody's": (
        lambda: model([one("Frob", "x", domain="com.example")], domain="com.example"),
        "com.example::Frob node 'the Frob'", ALL,
    ),
    "an operator of Microsoft's": (
        lambda: model([one("Gelu", "x", domain="com.microsoft")], domain="com.microsoft"),
        "com.microsoft::Gelu node 'the Gelu'", ("ncnn", *BOTH),
    ),
    "an operator for trees": (
        lambda: model([one("Binarizer", "x", domain="ai.onnx.ml")], domain="ai.onnx.ml"),
        "ai.onnx.ml::Binarizer node", ("openvino", "mnn", "ncnn", "tflite", *BOTH),
    ),
    "float64": (lambda: arithmetic(TensorProto.DOUBLE), "Add node 'the Add'", ("ncnn", "tflite")),
    "bfloat16": (lambda: arithmetic(TensorProto.BFLOAT16), "Add node 'the Add'", ("ncnn", "tflite")),
    "uint32": (lambda: arithmetic(TensorProto.UINT32), "Add node 'the Add'", ("ncnn",)),
    "an input of float64": (
        lambda: model([one("Exp", "x")], inputs=[value("x", TensorProto.DOUBLE)],
                      outputs=[value("y", TensorProto.DOUBLE)]),
        "", ("mnn", "ncnn", "tflite", "paddlelite"),
    ),
    "nothing": (
        lambda: model([one("Slice", "x", "at", "at", to=["e"]), node("Concat", ["e", "x"], ["y"], axis=0)],
                      constant("at", [1], "i8")),
        "Slice node 'the Slice'", ("ncnn",),
    ),
    "nine axes": (lambda: axes(9), "Reshape node 'the Reshape'", ("tflite",)),
}  # fmt: skip


def declines(made: onnx.ModelProto, runtime: str, folder: Path) -> UnsupportedModel | None:
    path = folder / "model.onnx"
    onnx.save(made, path)
    try:
        for prepared in (False, True):
            require_expressible(path, runtime, {"x": tuple(SHAPE)} if not prepared else {}, prepared=prepared)
    except UnsupportedModel as error:
        return error
    return None


@pytest.mark.parametrize("runtime", ALL)
@pytest.mark.parametrize("kind", DECLINED)
def test_declined_by_name_where_it_cannot_run(kind: str, runtime: str, tmp_path: Path) -> None:
    make, name, by = DECLINED[kind]
    error = declines(make(), runtime, tmp_path)
    if runtime not in by:
        assert error is None, error
        return
    assert error is not None
    assert error.message.startswith(f"{runtime} cannot take ") and name in error.message
    assert "\n" not in error.message and error.hint
    for other in ALL:  # the way out that the hint names is one
        if f"--runtime {other}" in error.hint or f" or {other}" in error.hint:
            assert other not in by


@pytest.mark.parametrize("runtime", ALL)
@pytest.mark.parametrize(
    "make",
    [depends_on_shape, lambda: dropout(trains=False), own_function],
    ids=["an If on shapes", "Dropout that does nothing", "a function of the model's own"],
)
def test_what_preparing_folds_away_passes(
    make: Callable[[], onnx.ModelProto], runtime: str, tmp_path: Path
) -> None:
    assert declines(make(), runtime, tmp_path) is None


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (value("s", TensorProto.STRING), "tensor of string"),
        (value("s", TensorProto.COMPLEX64), "tensor of complex64"),
        (helper.make_tensor_sequence_value_info("s", FLOAT, SHAPE), "is a sequence"),
        (
            helper.make_value_info(
                "s", helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, SHAPE))
            ),
            "is an optional",
        ),
        (
            helper.make_value_info("s", helper.make_sparse_tensor_type_proto(FLOAT, SHAPE)),
            "is a sparse tensor",
        ),
    ],
)
def test_an_input_that_is_no_tensor_of_numbers(kind: onnx.ValueInfoProto, words: str, tmp_path: Path) -> None:
    made = model([node("Exp", ["x"], ["y"])], inputs=[value("x"), kind])
    path = tmp_path / "model.onnx"
    onnx.save(made, path)
    with pytest.raises(UnsupportedModel, match=words) as caught:
        inspect_model(path)
    assert "'s'" in caught.value.message and caught.value.hint
