"""What an ONNX file says about itself, and whether it is one at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_converters import digest
from edgeflow_converters.errors import ModelUnreadable, UnsupportedModel

if TYPE_CHECKING:
    import onnx

STANDARD_DOMAINS = ("", "ai.onnx")

_NUMBERS = frozenset({*range(1, 8), *range(9, 14)})
"""onnx.TensorProto's types that numpy has: neither strings, complex numbers, bfloat16, nor those of 8 bits or
less that are no whole bytes."""


@dataclass(frozen=True, slots=True)
class PortInfo:
    """One graph input or output. A dynamic axis is its name (`"?"` when it has none); a fixed one an int."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    @property
    def dynamic_axes(self) -> tuple[int, ...]:
        return tuple(axis for axis, dim in enumerate(self.shape) if isinstance(dim, str))


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Facts of one ONNX file. `sha256` covers its external data files too."""

    path: Path
    inputs: tuple[PortInfo, ...]
    outputs: tuple[PortInfo, ...]
    opset: int
    ir_version: int
    producer: str
    metadata: Mapping[str, str]
    op_counts: Mapping[str, int]
    sha256: str
    size_bytes: int


def inspect_model(path: Path) -> ModelInfo:
    """Facts of the ONNX model at `path`.

    Raises ModelUnreadable for a file that is missing, empty, truncated or not an ONNX model, or whose
    external data is missing; UnsupportedModel for an operator of the standard domain that ONNX does not
    define.
    """
    model = load_checked(path)
    external = external_data_files(model, path)
    hashes = [digest.of_file(path), *(digest.of_file(file) for file in external)]
    initializers = {tensor.name for tensor in model.graph.initializer}
    return ModelInfo(
        path=path,
        inputs=tuple(port_info(value) for value in model.graph.input if value.name not in initializers),
        outputs=tuple(port_info(value) for value in model.graph.output),
        opset=standard_opset(model),
        ir_version=model.ir_version,
        producer=f"{model.producer_name} {model.producer_version}".strip(),
        metadata={entry.key: entry.value for entry in model.metadata_props},
        op_counts=dict(sorted(Counter(qualified_op(node) for node in all_nodes(model.graph)).items())),
        sha256=hashes[0] if len(hashes) == 1 else digest.of_json(hashes),
        size_bytes=sum(file.stat().st_size for file in (path, *external)),
    )


def load_checked(path: Path) -> onnx.ModelProto:
    """The model at `path` without its external data, after ONNX's own checker. Raises as inspect_model."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    if not path.is_file():
        what = "is a folder, not an ONNX file" if path.is_dir() else "does not exist"
        raise ModelUnreadable(f"{path} {what}", hint="check the path of the model")
    size_bytes = path.stat().st_size
    if size_bytes == 0:
        raise ModelUnreadable(f"{path} is empty", hint="export or download the model again")
    try:
        model = onnx.load_model(path, format="protobuf", load_external_data=False)
    except (DecodeError, ValueError, UnicodeDecodeError) as error:
        raise _not_onnx(path, "it does not parse: it is truncated or not an ONNX model") from error
    except OSError as error:
        raise ModelUnreadable(
            f"cannot read {path}: {error.strerror}", hint="check its permissions"
        ) from error
    # Protobuf skips fields it does not know, so rubbish and a file cut at a field's end both "parse".
    if not model.ir_version or not model.opset_import:
        raise _not_onnx(path, "it carries no ONNX version or opset: it is truncated or not an ONNX model")
    if not model.graph.node or not model.graph.output:
        raise _not_onnx(path, "its graph has no nodes or no outputs: it is truncated or not an ONNX model")
    _require_known_ops(model, path)
    external_data_files(model, path)
    _run_checker(model, path)
    return model


def external_data_files(model: onnx.ModelProto, path: Path) -> tuple[Path, ...]:
    """The files beside `path` that hold weights. Raises ModelUnreadable if one is missing."""
    from onnx.external_data_helper import uses_external_data

    names: set[str] = set()
    for tensor in model.graph.initializer:
        if uses_external_data(tensor):
            names.update(entry.value for entry in tensor.external_data if entry.key == "location")
    files = tuple(path.parent / name for name in sorted(names))
    for file in files:
        if not file.is_file():
            raise ModelUnreadable(
                f"{path} keeps weights in {file.name}, which is not beside it",
                hint="copy the model together with its external data files",
            )
    return files


def port_info(value: onnx.ValueInfoProto) -> PortInfo:
    """Name, dtype (numpy's name) and shape of a graph input or output. Raises UnsupportedModel otherwise."""
    hint = "leave it to the code around the model: its inputs and outputs are tensors of numbers"
    if not value.type.HasField("tensor_type"):
        kind = (value.type.WhichOneof("value") or "untyped value").removesuffix("_type").replace("_", " ")
        article = "an" if kind[0] in "ou" else "a"
        raise UnsupportedModel(f"{value.name!r} is {article} {kind}, not a tensor", hint=hint)
    tensor = value.type.tensor_type
    if tensor.elem_type not in _NUMBERS:
        kind = dtype_name(tensor.elem_type)
        raise UnsupportedModel(
            f"{value.name!r} is a tensor of {kind}, which no runtime here takes", hint=hint
        )
    dims: list[int | str] = []
    for dim in tensor.shape.dim:
        fixed = dim.WhichOneof("value") == "dim_value" and dim.dim_value > 0
        dims.append(dim.dim_value if fixed else (dim.dim_param or "?"))
    return PortInfo(value.name, dtype_name(tensor.elem_type), tuple(dims))


def dtype_name(elem_type: int) -> str:
    """Numpy's name of an ONNX element type; "string" for strings."""
    import onnx

    if elem_type == onnx.TensorProto.STRING:
        return "string"
    return str(onnx.helper.tensor_dtype_to_np_dtype(elem_type))


def standard_opset(model: onnx.ModelProto) -> int:
    """The version of the standard operator set that `model` imports; 0 if it imports none."""
    return max((entry.version for entry in model.opset_import if entry.domain in STANDARD_DOMAINS), default=0)


def all_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Nodes of `graph` and of every graph nested in its If, Loop and Scan nodes."""
    import onnx

    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        nodes.append(node)
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                nodes.extend(all_nodes(attribute.g))
            for nested in attribute.graphs:
                nodes.extend(all_nodes(nested))
    return nodes


def qualified_op(node: onnx.NodeProto) -> str:
    """`Conv`, or `domain::Op` outside the standard domain."""
    return node.op_type if node.domain in STANDARD_DOMAINS else f"{node.domain}::{node.op_type}"


def node_label(node: onnx.NodeProto) -> str:
    """`Conv node 'name'`; a node without a name is called by its first output."""
    given = next((name for name in (node.name, *node.output) if name), "?")
    return f"{qualified_op(node)} node {given!r}"


def _require_known_ops(model: onnx.ModelProto, path: Path) -> None:
    import onnx

    functions = {(function.domain, function.name) for function in model.functions}
    for node in all_nodes(model.graph):
        if node.domain not in STANDARD_DOMAINS or (node.domain, node.op_type) in functions:
            continue
        if not onnx.defs.has(node.op_type):
            raise UnsupportedModel(
                f"{path}: ONNX does not define {node.op_type} (node {node.name or node.output[0]!r})",
                hint="export the model with standard operators only",
            )


def _run_checker(model: onnx.ModelProto, path: Path) -> None:
    import onnx

    try:
        # By path: the checker then also looks at external data, and takes models beyond 2 GB.
        onnx.checker.check_model(str(path))
    except onnx.checker.ValidationError as error:
        first_line = str(error).strip().splitlines()[0]
        raise ModelUnreadable(
            f"{path} is not a valid ONNX model: {first_line[:200]}",
            hint="export it again; it may be truncated",
            log=str(error),
        ) from error


def _not_onnx(path: Path, why: str) -> ModelUnreadable:
    return ModelUnreadable(f"{path} cannot be read as ONNX: {why}", hint="export or download the model again")


def describe(info: ModelInfo) -> dict[str, Any]:
    """`info` as JSON values, for `inspect --json` and notes."""
    return {
        "path": str(info.path),
        "inputs": [_describe_port(port) for port in info.inputs],
        "outputs": [_describe_port(port) for port in info.outputs],
        "opset": info.opset,
        "ir_version": info.ir_version,
        "producer": info.producer,
        "metadata": dict(info.metadata),
        "op_counts": dict(info.op_counts),
        "sha256": info.sha256,
        "size_bytes": info.size_bytes,
    }


def _describe_port(port: PortInfo) -> dict[str, Any]:
    return {"name": port.name, "dtype": port.dtype, "shape": list(port.shape)}
