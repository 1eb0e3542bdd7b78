"""From a prepared ONNX model to a Paddle program: constants are computed, the rest is written in order."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_converters.errors import UnsupportedModel
from edgeflow_converters.paddle.graph import MAX_CONSTANT_BYTES, Graph, Node
from edgeflow_converters.paddle.ops import writer_of
from edgeflow_converters.paddle.program import Program

if TYPE_CHECKING:
    import onnx

_RANDOM = frozenset({"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial"})


def write_program(source: Path, model: Path, parameters: Path) -> tuple[list[str], list[str]]:
    """Writes the program of `source`, which has fixed shapes, to `model` and `parameters`.

    Returns the program's names of the inputs and of the outputs, in the model's order. Raises
    UnsupportedModel that names the node which cannot be expressed.
    """
    import onnx

    graph, inputs, outputs = build(onnx.load(source))
    graph.program.save(model, parameters)
    return inputs, outputs


def build(model: onnx.ModelProto) -> tuple[Graph, list[str], list[str]]:
    """The program of a model, and its names of the inputs and outputs."""
    import onnx
    from onnx import numpy_helper

    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    shapes, dtypes = _known(model)
    constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    graph = Graph(Program(), constants, shapes, dtypes, {})
    inputs = []
    for column, port in enumerate(model.graph.input):
        name = graph.program.tensor(dtypes[port.name], shapes[port.name], "input")
        graph.names[port.name] = name
        graph.program.operation("feed", {"X": ["feed"]}, {"Out": [name]}, col=column)
        inputs.append(name)
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 13)
    for proto in model.graph.node:
        node = Node(
            kind=f"{proto.domain}::{proto.op_type}" if proto.domain not in ("", "ai.onnx") else proto.op_type,
            name=proto.name,
            inputs=tuple(proto.input),
            outputs=tuple(proto.output),
            attributes={each.name: onnx.helper.get_attribute_value(each) for each in proto.attribute},
        )
        if not _folded(graph, node, proto, opset):
            writer_of(node)(graph, node)
    outputs: list[str] = []
    for column, port in enumerate(model.graph.output):
        name = _fetched(graph, port.name, outputs, inputs)
        graph.program.operation("fetch", {"X": [name]}, {"Out": ["fetch"]}, col=column)
        outputs.append(name)
    return graph, inputs, outputs


def _known(model: onnx.ModelProto) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    import onnx

    shapes, dtypes = {}, {}
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        tensor = value.type.tensor_type
        if tensor.elem_type:
            dtypes[value.name] = str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim):
            shapes[value.name] = tuple(dim.dim_value for dim in tensor.shape.dim)
    return shapes, dtypes


def _folded(graph: Graph, node: Node, proto: onnx.NodeProto, opset: int) -> bool:
    """Whether the node's outputs are known before the model runs: they are constants from here on."""
    import numpy as np
    import onnx
    from onnx.reference import ReferenceEvaluator

    if node.kind in ("Shape", "Size") and node.inputs[0] in graph.shapes:
        shape = graph.shapes[node.inputs[0]]
        part = shape[node.whole("start", 0) : node.attributes.get("end")]
        value: Any = part if node.kind == "Shape" else math.prod(shape)
        graph.constants[node.outputs[0]] = np.array(value, np.int64)
        return True
    named = [name for name in node.inputs if name]
    if node.kind in _RANDOM or "::" in node.kind or not all(name in graph.constants for name in named):
        return False
    if any(math.prod(graph.shapes.get(name, (1,))) * 8 > MAX_CONSTANT_BYTES for name in node.outputs):
        return False
    values = [onnx.numpy_helper.from_array(graph.constants[name], name) for name in dict.fromkeys(named)]
    results = [onnx.helper.make_empty_tensor_value_info(name) for name in node.outputs if name]
    alone = onnx.helper.make_model(
        onnx.helper.make_graph([proto], "constant", [], results, values),
        opset_imports=[onnx.helper.make_opsetid("", opset)],
    )
    computed: Any = ReferenceEvaluator(alone).run(None, {})
    graph.constants.update(zip((name for name in node.outputs if name), computed, strict=True))
    return True


def _fetched(graph: Graph, name: str, before: list[str], inputs: list[str]) -> str:
    """The tensor to fetch an output from: one of its own, which is neither an input nor fetched twice."""
    if name in graph.constants:
        raise UnsupportedModel(
            f"paddlelite cannot take output {name!r}: it is a constant",
            hint="leave the output out of the model, or use another runtime",
        )
    tensor = graph.names[name]
    if tensor not in before and tensor not in inputs:
        return tensor
    copy = graph.temporary(graph.program.shape(tensor), graph.dtypes.get(name, "float32"))
    graph.program.operation("assign", {"X": [tensor]}, {"Out": [copy]})
    return copy
