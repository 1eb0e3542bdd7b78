"""Operators that ONNX itself defines by others, written out for a runtime that lacks them.

The specification gives LayerNormalization, Mish and some forty others a body of simpler operators (the
schema's function). What is put in their place is that body, by ONNX's own inliner: no definition is written
twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from edgeflow_converters.inspect import all_nodes, standard_opset

if TYPE_CHECKING:
    import onnx

_RARE = (
    "AffineGrid",
    "Attention",
    "CastLike",
    "CausalConvWithState",
    "Celu",
    "CenterCropPad",
    "LinearAttention",
    "MeanVarianceNormalization",
    "NegativeLogLikelihoodLoss",
    "RotaryEmbedding",
    "SoftmaxCrossEntropyLoss",
    "SwiGLU",
    "Swish",
)
"""What none of the mobile runtimes has, or not in all its forms."""

LACKS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ncnn": (
            *_RARE,
            "ReduceLogSumExp",
            "ReduceSumSquare",
            "Shrink",
            "Softsign",
            "ThresholdedRelu",
        ),
        "mnn": (
            *_RARE,
            "GroupNormalization",
            "Mish",
            "ReduceL1",
            "ReduceL2",
            "ReduceLogSumExp",
            "ReduceSumSquare",
            "Shrink",
        ),
        "tflite": (*_RARE, "Elu", "GroupNormalization"),
    }
)
"""Runtime -> the operators that it, or the tool that makes its files, has not or computes wrong, of those
that have a body. A test for each runtime fails without its row."""


def expanded(model: onnx.ModelProto, operators: Sequence[str]) -> onnx.ModelProto:
    """The model with the bodies of `operators` (of ONNX's own set) in place of its nodes of that kind, in an
    opset for which there are bodies; the same model if it has none of them."""
    import onnx.inliner
    import onnx.version_converter

    wanted = sorted({node.op_type for node in all_nodes(model.graph) if not node.domain} & set(operators))
    if not wanted:
        return model
    needed = max(_with_body(name, standard_opset(model)) for name in wanted)
    typed = onnx.ModelProto()
    typed.CopyFrom(model)
    if needed > standard_opset(model):
        typed = onnx.version_converter.convert_version(typed, needed)
    _spell_out_defaults(typed, wanted)
    # A body that depends on the types of its inputs is found only if these are told, the weights' too.
    known = {value.name for value in (*typed.graph.input, *typed.graph.value_info)}
    for tensor in typed.graph.initializer:
        if tensor.name not in known:
            value = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            typed.graph.value_info.append(value)
    typed = onnx.shape_inference.infer_shapes(typed)
    functions = [("", name) for name in wanted]
    made = onnx.inliner.inline_selected_functions(
        typed, functions, exclude=False, inline_schema_functions=True
    )
    _cast_to_known_types(made)
    del made.graph.value_info[:]
    return made


def _with_body(operator: str, opset: int) -> int:
    """The first opset from `opset` on for which the operator has a body; `opset` itself if there is none."""
    import onnx

    schema: Any = onnx.defs.get_schema(operator, opset)
    bodies = (*schema.function_opset_versions, *schema.context_dependent_function_opset_versions)
    return max(opset, min(bodies, default=opset))


def _spell_out_defaults(model: onnx.ModelProto, operators: Sequence[str]) -> None:
    """Give the nodes the attributes that they leave to their defaults: the inliner leaves a body's Constant
    of such an attribute without a value."""
    import onnx

    version = standard_opset(model)
    for node in all_nodes(model.graph):
        if node.domain or node.op_type not in operators:
            continue
        given = {attribute.name for attribute in node.attribute}
        for name, attribute in onnx.defs.get_schema(node.op_type, version).attributes.items():
            if attribute.default_value.name and name not in given:
                node.attribute.append(attribute.default_value)


def _cast_to_known_types(model: onnx.ModelProto) -> None:
    """CastLike -> Cast, where the type is known: a form that is folded, and that every runtime has."""
    import onnx

    values = onnx.shape_inference.infer_shapes(model).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*values.input, *values.value_info)}
    types |= {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    for node in all_nodes(model.graph):
        if node.op_type == "CastLike" and types.get(node.input[1]):
            node.op_type = "Cast"
            node.attribute.append(onnx.helper.make_attribute("to", types[node.input[1]]))
            del node.input[1]
