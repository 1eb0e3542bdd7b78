"""The writer of Paddle programs: what it refuses, by name. The integration tests execute what it writes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeflow_converters.errors import UnsupportedModel
from edgeflow_converters.paddle import wire
from edgeflow_converters.paddle.writer import build


def model_of(kind: str, result: list[int], *constants: Any, **attributes: Any) -> onnx.ModelProto:
    """One node `odd` of this kind from x [1, 2, 4, 4] and constants to y."""
    names = [f"c{place}" for place in range(len(constants))]
    graph = helper.make_graph(
        [helper.make_node(kind, ["x", *names], ["y"], name="odd", **attributes)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, result)],
        [
            numpy_helper.from_array(np.asarray(value), name)
            for value, name in zip(constants, names, strict=True)
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (model_of("Det", [1, 2]), "writes no such operation"),
        (model_of("Pow", [1, 2, 4, 4], np.float32(1.7)), "wrong for negative numbers"),
        (model_of("MaxPool", [1, 2, 2, 2], kernel_shape=[2, 2], dilations=[2, 2]), "holes"),
        (model_of("ReduceMean", [], keepdims=0), "without axes"),
        (
            model_of("Slice", [1, 2, 4, 4], *(np.array([n]) for n in (3, -9, 2, -1))),
            "runs backwards",
        ),
        (
            model_of("Resize", [1, 2, 8, 8], np.zeros(0, "f4"), np.array([1, 1, 2, 2], "f4"), mode="cubic"),
            "resizes by cubic",
        ),
    ],
    ids=["unknown", "power", "pool", "number", "slice", "resize"],
)  # fmt: skip
def test_what_cannot_be_said_is_declined_with_operator_and_node(model: onnx.ModelProto, words: str) -> None:
    with pytest.raises(UnsupportedModel, match=rf"{model.graph.node[0].op_type} '?odd.*{words}"):
        build(model)


def test_nearest_neighbours_that_paddle_would_take_otherwise_are_declined() -> None:
    """Half-pixel, rounded up, by 3/2: element 1 of the result is 1 of the source, and 0 for Paddle."""
    scales = np.array([1, 1, 1.5, 1.5], "f4")
    with pytest.raises(UnsupportedModel, match="other neighbours"):
        build(
            model_of(
                "Resize",
                [1, 2, 6, 6],
                np.zeros(0, "f4"),
                scales,
                mode="nearest",
                nearest_mode="round_prefer_ceil",
            )
        )


def test_names_of_the_model_never_reach_the_program() -> None:
    model = model_of("Relu", [1, 2, 4, 4])
    for port, name in ((model.graph.input[0], "feed"), (model.graph.output[0], "fetch")):
        port.name = name
    model.graph.node[0].input[0], model.graph.node[0].output[0] = "feed", "fetch"
    _, inputs, outputs = build(model)
    assert not {"feed", "fetch"} & {*inputs, *outputs}


def test_an_attribute_has_the_type_that_the_format_gives_it() -> None:
    """Bytes by framework.proto: name (1), type (2), and the value in the field of its type."""
    assert wire._attribute("a", 3) == b"\x0a\x01a\x10\x00\x18\x03"
    assert wire._attribute("a", wire.Long(3)) == b"\x0a\x01a\x10\x09\x68\x03"
    assert wire._attribute("a", True) == b"\x0a\x01a\x10\x06\x50\x01"
    assert wire._attribute("a", [1, 2]) == b"\x0a\x01a\x10\x03\x30\x01\x30\x02"
    with pytest.raises(TypeError):
        wire._attribute("a", None)
