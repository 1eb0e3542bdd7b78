"""What a runtime cannot take at all is declined here, by the node's name, before any slow work.

Looked for: control flow, strings, sequences, optionals, sparse weights, training, foreign operator sets,
types of numbers, empty tensors and too many axes. What depends on no input value (a condition on a shape) is
folded when the model is prepared, and passes. The rest is for each converter, and for the gate, to say.

One table, LIMITS, says what each runtime takes; every entry of it was tried (tests/integration/converters/
test_declined.py runs both sides).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from edgeflow_converters.errors import UnsupportedModel
from edgeflow_converters.inspect import STANDARD_DOMAINS, all_nodes, dtype_name, node_label

if TYPE_CHECKING:
    import onnx

CONTROL_FLOW = frozenset({"If", "Loop", "Scan"})
MICROSOFT = "com.microsoft"
ML = "ai.onnx.ml"
TRAINING = "ai.onnx.preview.training"

_DATA_SHAPED = frozenset({"NonZero", "Unique", "Compress", "NonMaxSuppression", "StringSplit"})
"""Operators whose output's shape depends on values."""
_TRAINED = frozenset({"Dropout", "BatchNormalization"})
_NARROW = frozenset(
    {
        "float32", "float16", "bool",
        "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
    }
)  # fmt: skip

_WHOLE = ("bool", "int8", "uint8", "int16", "uint16", "int32", "int64")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a runtime takes. `control_flow` are the operators it runs although they depend on the input;
    `dtypes` the ones it computes in and `ports` those of inputs and outputs (None: any that ONNX Runtime
    takes); `max_axes` those of any tensor inside the model, the batch's included."""

    domains: frozenset[str] = frozenset()
    control_flow: frozenset[str] = frozenset()
    counted_loops: bool = False
    strings: bool = False
    sequences: bool = False
    optionals: bool = False
    sparse: bool = False
    empty: bool = True
    dtypes: frozenset[str] | None = None
    ports: frozenset[str] | None = None
    max_axes: int | None = None


LIMITS: Mapping[str, Limits] = MappingProxyType(
    {
        "onnxruntime": Limits(
            domains=frozenset({MICROSOFT, ML}),
            control_flow=CONTROL_FLOW,
            strings=True,
            sequences=True,
            optionals=True,
            sparse=True,
        ),
        # It reads some of com.microsoft, as MNN and onnx2tf do; which, each says itself.
        "openvino": Limits(
            domains=frozenset({MICROSOFT}), control_flow=CONTROL_FLOW, sequences=True, optionals=True
        ),
        "mnn": Limits(
            domains=frozenset({MICROSOFT}),
            sequences=True,
            optionals=True,
            ports=frozenset({"float32", "int32", "int64"}),
        ),
        "ncnn": Limits(
            empty=False,
            dtypes=frozenset({"float32", *_WHOLE}),  # all of which it computes in float32
            ports=frozenset({"float32", *_WHOLE}),
        ),
        "paddlelite": Limits(ports=frozenset({"float32", "int32", "int64"})),
        "snpe": Limits(),
        "tflite": Limits(
            domains=frozenset({MICROSOFT}),
            counted_loops=True,
            dtypes=_NARROW,
            ports=None,
            max_axes=8,
        ),
    }
)


_NOT_ADVISED = ("paddlelite", "snpe")
"""What takes tools that many have not, and less than the others take."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What stands against a model: at which node or tensor, why, and how to do without."""

    what: str
    why: str
    advice: str


def require_expressible(
    path: Path, runtime: str, shapes: Mapping[str, tuple[int, ...]], *, prepared: bool = False
) -> None:
    """Raises UnsupportedModel, naming the node, if `runtime` cannot take the ONNX model at `path` whose
    inputs are pinned to `shapes`. A runtime that is in no table takes everything.

    Of a `prepared` model all is judged; before, only what preparing cannot fold away.
    """
    limits = LIMITS.get(runtime)
    if limits is None:
        return
    graph = _Graph(path, shapes)
    refusal = _first_refusal(graph, limits, prepared)
    if refusal is None:
        return
    others = [
        name
        for name, theirs in LIMITS.items()
        if name not in (runtime, *_NOT_ADVISED) and _first_refusal(graph, theirs, prepared=True) is None
    ]
    hint = refusal.advice + (f", or use --runtime {' or '.join(others)}" if others else "")
    raise UnsupportedModel(f"{runtime} cannot take {refusal.what}: {refusal.why}", hint=hint)


def is_constant(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether the outputs of the ONNX model at `path` are the same whatever its inputs hold."""
    graph = _Graph(path, shapes)
    return all(value.name in graph.static for value in graph.graph.output)


def nodes_of(path: Path, op_type: str, shape: tuple[int, ...] | None = None) -> str:
    """`, node 'a' and 2 more` for the nodes of an operator in the model at `path`, to end a message with; ""
    if there is none. `shape` is that of what they give. Upper and lower case count the same: tools spell
    operators as they like."""
    import onnx

    from edgeflow_converters.rewrites.graph import inferred_shapes

    model = onnx.load_model(path, format="protobuf", load_external_data=False)
    found = [node for node in all_nodes(model.graph) if node.op_type.casefold() == op_type.casefold()]
    if shape is not None and len(found) > 1:
        shapes = inferred_shapes(model)
        found = [node for node in found if shapes.get(node.output[0]) == shape] or found
    if not found:
        return ""
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return f", node {(found[0].name or found[0].output[0])!r}{more}"


class _Graph:
    """A model's nodes in order, with what is known of its values: types, and which depend on no input."""

    def __init__(self, path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
        import onnx
        import onnx.inliner

        from edgeflow_converters.rewrites.graph import inferred_types

        model = onnx.load_model(path, format="protobuf", load_external_data=False)
        if model.functions:
            model = onnx.inliner.inline_local_functions(model)
        for value in model.graph.input:
            if value.name in shapes:
                dims = value.type.tensor_type.shape
                dims.ClearField("dim")
                for size in shapes[value.name]:
                    dims.dim.add().dim_value = size
        self.graph = model.graph
        self.nodes = all_nodes(model.graph)
        try:
            self.types = inferred_types(model)
        except Exception:  # a C++ extension's own errors: what cannot be inferred is not judged by its type
            self.types = {}
        self.constants = {tensor.name for tensor in model.graph.initializer}
        self.static = _static_values(model.graph, self.constants)

    def is_static(self, node: onnx.NodeProto) -> bool:
        """Whether nothing that the node gives depends on the values of an input: it is folded away."""
        return all(name in self.static for name in node.output if name)


def _static_values(graph: onnx.GraphProto, constants: set[str]) -> set[str]:
    """Names of the values that are the same whatever the inputs hold, their shapes being fixed."""
    static = {*constants, *(tensor.values.name for tensor in graph.sparse_initializer), ""}
    data_shaped: set[str] = set()
    for node in graph.node:
        if node.op_type in _DATA_SHAPED or any(name in data_shaped for name in node.input):
            data_shaped.update(node.output)
        inner = {name for nested in _nested(node) for name in nested.input}
        made = {name for nested in _nested(node) for name in nested.output}
        reads = {*node.input, *(inner - made)} if _nested(node) else set(node.input)
        of_shape = node.op_type in ("Shape", "Size") and not data_shaped & set(node.input)
        if of_shape or (node.op_type not in ("Loop", "Scan") and reads <= static):
            static.update(node.output)
    return static


def _nested(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    return [
        inner for attribute in node.attribute if attribute.HasField("g") for inner in all_nodes(attribute.g)
    ]


def _first_refusal(graph: _Graph, limits: Limits, prepared: bool) -> _Refusal | None:
    return next(_refusals(graph, limits, prepared), None)


def _refusals(graph: _Graph, limits: Limits, prepared: bool) -> Iterator[_Refusal]:
    yield from _of_training(graph)
    yield from _of_domains(graph, limits)
    yield from _of_control_flow(graph, limits)
    yield from _of_strings(graph, limits)
    if prepared:
        yield from _of_ports(graph, limits)
        yield from _of_containers(graph, limits)
        yield from _of_tensors(graph, limits)


def _of_training(graph: _Graph) -> Iterator[_Refusal]:
    for node in graph.nodes:
        label = node_label(node)
        if node.domain == TRAINING:
            yield _Refusal(label, "it trains", "export the model for inference only")
        elif node.op_type in _TRAINED and node.domain in STANDARD_DOMAINS and _trains(node, graph):
            does = (
                "drops values at random" if node.op_type == "Dropout" else "normalizes by each batch's values"
            )
            yield _Refusal(label, f"it is in training mode and {does}", "export the model after model.eval()")


def _trains(node: onnx.NodeProto, graph: _Graph) -> bool:
    """Dropout has its mode as a third input, true if it is computed; BatchNormalization as an attribute."""
    from onnx import numpy_helper

    if node.op_type == "BatchNormalization":
        return any(item.name == "training_mode" and item.i for item in node.attribute)
    if len(node.input) < 3 or not node.input[2]:
        return False
    for tensor in graph.graph.initializer:
        if tensor.name == node.input[2]:
            return bool(numpy_helper.to_array(tensor).any())
    for other in graph.nodes:
        if node.input[2] in other.output and other.op_type == "Constant":
            given = [numpy_helper.to_array(item.t) for item in other.attribute if item.name == "value"]
            return any(value.any() for value in given)
    return True


def _of_domains(graph: _Graph, limits: Limits) -> Iterator[_Refusal]:
    for node in graph.nodes:
        if node.domain not in (*STANDARD_DOMAINS, *limits.domains):
            yield _Refusal(
                node_label(node),
                "it is outside the standard ONNX operators",
                "export the model with standard operators only",
            )


def _of_control_flow(graph: _Graph, limits: Limits) -> Iterator[_Refusal]:
    for node in graph.nodes:
        if node.op_type not in CONTROL_FLOW - limits.control_flow or node.domain not in STANDARD_DOMAINS:
            continue
        if node.op_type == "If":
            if node.input[0] in graph.static:
                continue  # its branch is chosen when the model is prepared
            why = "which branch it takes depends on the input's values"
        elif node.op_type == "Loop" and limits.counted_loops and _counts(node, graph):
            continue
        else:
            why = "it is a loop"
        yield _Refusal(node_label(node), why, "export the model without it (traced, or unrolled)")


def _counts(loop: onnx.NodeProto, graph: _Graph) -> bool:
    """Whether a Loop runs a number of times that no input's value changes."""
    body = next(item.g for item in loop.attribute if item.name == "body")
    goes_on, given = body.output[0].name, body.input[1].name
    copies = {node.output[0]: node.input[0] for node in body.node if node.op_type == "Identity"}
    while goes_on in copies:
        goes_on = copies[goes_on]
    constants = {tensor.name for tensor in body.initializer}
    constants |= {node.output[0] for node in body.node if node.op_type == "Constant"}
    return goes_on in {given, *constants, *graph.static} and set(loop.input[:2]) <= graph.static


_SEQUENCE_OPS = frozenset(
    {
        "SequenceConstruct", "SequenceEmpty", "SequenceAt", "SequenceInsert", "SequenceErase",
        "SequenceLength", "SequenceMap", "SplitToSequence", "ConcatFromSequence",
    }
)  # fmt: skip
_OPTIONAL_OPS = frozenset({"Optional", "OptionalGetElement", "OptionalHasElement"})
_STRING_OPS = frozenset(
    {"StringNormalizer", "StringConcat", "StringSplit", "RegexFullMatch", "TfIdfVectorizer"}
)


def _of_strings(graph: _Graph, limits: Limits) -> Iterator[_Refusal]:
    for node in graph.nodes:
        if limits.strings or graph.is_static(node):
            continue
        if (node.op_type in _STRING_OPS and node.domain in STANDARD_DOMAINS) or _gives_strings(node, graph):
            yield _Refusal(
                node_label(node), "it has no strings", "leave strings to the code around the model"
            )


def _of_containers(graph: _Graph, limits: Limits) -> Iterator[_Refusal]:
    """Values that are no tensors."""
    for taken, ops, what in (
        (limits.sequences, _SEQUENCE_OPS, "sequences"),
        (limits.optionals, _OPTIONAL_OPS, "optionals"),
    ):
        for node in graph.nodes:
            if not taken and node.op_type in ops and node.domain in STANDARD_DOMAINS:
                yield _Refusal(
                    node_label(node), f"it has no {what}", "leave them to the code around the model"
                )
    if graph.graph.sparse_initializer and not limits.sparse:
        name = graph.graph.sparse_initializer[0].values.name
        yield _Refusal(f"weight {name!r}", "it has no sparse weights", "store the weight as a dense tensor")


def _gives_strings(node: onnx.NodeProto, graph: _Graph) -> bool:
    import onnx

    if node.op_type == "Cast":
        return any(item.name == "to" and item.i == onnx.TensorProto.STRING for item in node.attribute)
    found = (graph.types.get(name) for name in node.output)
    return any(item is not None and item.elem_type == onnx.TensorProto.STRING for item in found)


def _of_ports(graph: _Graph, limits: Limits) -> Iterator[_Refusal]:
    for side, values in (("input", graph.graph.input), ("output", graph.graph.output)):
        for value in values:
            if value.name in graph.constants or limits.ports is None:
                continue
            dtype = dtype_name(value.type.tensor_type.elem_type)
            if dtype not in limits.ports:
                yield _Refusal(
                    f"{side} {value.name!r}",
                    f"it is {dtype}, where the runtime takes {', '.join(sorted(limits.ports))} only",
                    "move such inputs and outputs (ids, argmax) out of the model, or cast them inside it",
                )


def _of_tensors(graph: _Graph, limits: Limits) -> Iterator[_Refusal]:
    """Types of numbers, empty tensors and axes, of what is computed while the model runs."""
    for node in graph.nodes:
        if graph.is_static(node):
            continue
        for name in node.output:
            tensor = graph.types.get(name)
            if tensor is None or not tensor.elem_type:
                continue
            dtype = dtype_name(tensor.elem_type)
            # A Cast at either end is no arithmetic: its inputs or outputs are converted by the caller.
            if limits.dtypes is not None and dtype not in limits.dtypes and node.op_type != "Cast":
                yield _Refusal(
                    node_label(node), f"it computes {name!r} in {dtype}", "export the model in float32"
                )
            sizes = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
            if not limits.empty and tensor.HasField("shape") and 0 in sizes:
                yield _Refusal(
                    node_label(node), f"its result {name!r} is empty: {sizes}", "leave out what is empty"
                )
            if limits.max_axes is not None and len(sizes) > limits.max_axes:
                yield _Refusal(
                    node_label(node),
                    f"its result {name!r} has {len(sizes)} axes {sizes}, and tensors have up to "
                    f"{limits.max_axes} there",
                    "reshape to fewer axes in the model's code",
                )
