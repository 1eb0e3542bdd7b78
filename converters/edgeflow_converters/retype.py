"""Numbers of a type that a runtime has not, as one that it has: float64 and float16 in float32, int8 in
int32.

What is computed stays the same as long as no number leaves the new type's range or precision; prepare runs
and compares it. Inputs and outputs get the new type too: whoever feeds the product converts
(TensorSpec.source_dtype).
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from types import MappingProxyType
from typing import TYPE_CHECKING

from edgeflow_converters.inspect import all_nodes, dtype_name
from edgeflow_converters.structure import settings

if TYPE_CHECKING:
    import onnx

_FLOATS = {"float64": "float32", "float16": "float32", "bfloat16": "float32"}
_SMALL = dict.fromkeys(("int8", "uint8", "int16", "uint16"), "int32")
_LONG = {"uint32": "int64", "uint64": "int64"}

TYPES: Mapping[str, tuple[Mapping[str, str], ...]] = MappingProxyType(
    {
        "ncnn": (
            dict.fromkeys((*_FLOATS, *_SMALL, *_LONG, "int32", "int64"), "float32"),
            {**_FLOATS, **_LONG},
        ),
        "mnn": ({**_FLOATS, **_SMALL, "uint32": "int32", "uint64": "int32"},),
        "tflite": ({**_FLOATS, **_SMALL, **_LONG},),
        "paddlelite": (_FLOATS,),
    }
)
"""Runtime -> the types that it lacks, each with what stands for it; the first of several ways that computes
the same is kept."""
FLAGS: Mapping[str, str] = MappingProxyType({"mnn": "int32", "ncnn": "float32"})
"""Runtime -> the type in which it takes and gives what is bool in the model."""


def retyped(model: onnx.ModelProto, types: Mapping[str, str]) -> onnx.ModelProto:
    """The model with every tensor of a type in `types` as its stand-in, but for shapes and other settings;
    the same model if it has none, or only whole numbers that neither go in nor come out."""
    import onnx

    numbers = {_number(old): _number(new) for old, new in types.items()}
    if not numbers.keys() & _ports(model) and not _floats(numbers) & _inner(model):
        return model  # whole numbers inside are shapes and indexes, which every runtime has
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    _retype_graph(changed.graph, numbers, settings(changed))
    return changed


def _ports(model: onnx.ModelProto) -> set[int]:
    return {value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)}


def _inner(model: onnx.ModelProto) -> set[int]:
    """The types that are named inside the model."""
    nodes = list(all_nodes(model.graph))
    named = {item.i for node in nodes for item in node.attribute if item.name in _TYPE_WORDS}
    held = {item.t.data_type for node in nodes for item in node.attribute if item.HasField("t")}
    return named | held | {tensor.data_type for tensor in model.graph.initializer}


def _floats(numbers: Mapping[int, int]) -> set[int]:
    import onnx

    return {number for number in numbers if onnx.helper.tensor_dtype_to_np_dtype(number).kind not in "iu"}


_TYPE_WORDS = ("to", "dtype", "output_dtype", "stash_type", "softmax_precision")


def _retype_graph(graph: onnx.GraphProto, numbers: Mapping[int, int], kept: Set[str]) -> None:
    """Retypes all but the values of `kept`."""
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        kind = value.type.tensor_type.elem_type
        value.type.tensor_type.elem_type = numbers.get(kind, kind)
    for tensor in graph.initializer:
        if tensor.name not in kept:
            _retype_tensor(tensor, numbers)
    for node in graph.node:
        if kept & set(node.output):
            continue
        for attribute in node.attribute:
            if attribute.HasField("t"):
                _retype_tensor(attribute.t, numbers)
            elif attribute.HasField("g"):
                _retype_graph(attribute.g, numbers, kept)
            elif attribute.name in _TYPE_WORDS:
                attribute.i = numbers.get(attribute.i, attribute.i)


def _retype_tensor(tensor: onnx.TensorProto, numbers: Mapping[int, int]) -> None:
    import onnx

    if tensor.data_type in numbers:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(numbers[tensor.data_type])
        array = onnx.numpy_helper.to_array(tensor).astype(dtype)
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))


def with_flags_as(model: onnx.ModelProto, dtype: str) -> onnx.ModelProto:
    """The model whose bool inputs and outputs are of `dtype` and cast inside; the same model if it has
    none."""
    import onnx

    boolean, number = onnx.TensorProto.BOOL, _number(dtype)
    graph = model.graph
    ports = (*graph.input, *graph.output)
    if not any(value.type.tensor_type.elem_type == boolean for value in ports):
        return model
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    before, after = [], []
    for value in graph.input:
        if value.type.tensor_type.elem_type == boolean:
            inner = f"{value.name}_as_bool"
            _rename(graph, value.name, inner)
            before.append(onnx.helper.make_node("Cast", [value.name], [inner], to=boolean))
            value.type.tensor_type.elem_type = number
    for value in graph.output:
        if value.type.tensor_type.elem_type == boolean:
            inner = f"{value.name}_as_bool"
            _rename(graph, value.name, inner)
            after.append(onnx.helper.make_node("Cast", [inner], [value.name], to=number))
            value.type.tensor_type.elem_type = number
    nodes = [*before, *graph.node, *after]
    copies = []
    for node in nodes:
        copied = onnx.NodeProto()
        copied.CopyFrom(node)
        copies.append(copied)
    del graph.node[:]
    graph.node.extend(copies)
    return changed


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """The value `old` under the name `new`, wherever nodes read or give it."""
    for node in all_nodes(graph):
        for names in (node.input, node.output):
            for number, name in enumerate(names):
                if name == old:
                    names[number] = new


def _number(dtype: str) -> int:
    """ONNX's number of a type by numpy's name."""
    import onnx

    found = next(
        number for number in onnx.TensorProto.DataType.values() if number and dtype_name(number) == dtype
    )
    return int(found)
