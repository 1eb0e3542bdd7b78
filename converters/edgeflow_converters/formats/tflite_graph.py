"""A .tflite. Field numbers: tflite/schema/schema.fbs; names of builtin operators from ai-edge-litert."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from edgeflow_converters import flatbuffer
from edgeflow_converters.errors import ModelUnreadable
from edgeflow_converters.flatbuffer import Damaged, Table
from edgeflow_converters.formats import Description, Tensor

_MARK = b"TFL3"
_VERSION, _CODES, _GRAPHS, _ABOUT, _BUFFERS = 0, 1, 2, 3, 4  # Model
_OLD_CODE, _CUSTOM, _BUILTIN = 0, 1, 3  # OperatorCode
_TENSORS, _INPUTS, _OUTPUTS, _OPS = 0, 1, 2, 3  # SubGraph
_SHAPE, _TYPE, _BUFFER, _NAME = 0, 1, 2, 3  # Tensor
_DTYPES = (
    "float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64", "int8",
    "float64", "complex128", "uint64", "resource", "variant", "uint32", "uint16", "int4", "bfloat16",
)  # fmt: skip


def describe(path: Path, tools_root: Path) -> Description:
    del tools_root
    data = path.read_bytes()
    if flatbuffer.mark(data) != _MARK:
        raise ModelUnreadable(f"{path} is no TensorFlow Lite model: it lacks the mark {_MARK.decode()}")
    try:
        return _read(flatbuffer.root(data))
    except Damaged as error:
        raise ModelUnreadable(f"{path} is truncated or damaged: {error}", hint="copy it again") from error


def _read(model: Table) -> Description:
    graphs = model.tables(_GRAPHS)
    if not graphs:
        raise Damaged("it has no graph")
    names = _operator_names(model)
    sizes = [buffer.length(0) or buffer.number(2, "<Q") for buffer in model.tables(_BUFFERS)]
    main = graphs[0]
    inputs, outputs = main.numbers(_INPUTS, "<i"), main.numbers(_OUTPUTS, "<i")
    tensors = []
    for index, table in enumerate(main.tables(_TENSORS)):
        buffer = table.number(_BUFFER, "<I")
        size_bytes = sizes[buffer] if 0 < buffer < len(sizes) else 0
        kind = "input" if index in inputs else "output" if index in outputs else "inner"
        number = table.number(_TYPE, "B")
        tensors.append(
            Tensor(
                table.text(_NAME),
                "constant" if kind == "inner" and size_bytes else kind,
                _DTYPES[number] if number < len(_DTYPES) else f"type {number}",
                tuple(table.numbers(_SHAPE, "<i")),
                size_bytes,
            )
        )
    counts: Counter[str] = Counter()
    for graph in graphs:
        for op in graph.tables(_OPS):
            code = op.number(0, "<I")
            if code >= len(names):
                raise Damaged(f"an operator has code {code} of {len(names)}")
            counts[names[code]] += 1
    return Description(
        format="TensorFlow Lite",
        version=str(model.number(_VERSION, "<I")),
        producer=model.text(_ABOUT),
        operators=counts,
        tensors=tuple(tensors),
        parameters_bytes=sum(sizes),
        size_bytes=0,
        not_listed=("quantization parameters", *(("tensors of further graphs",) if len(graphs) > 1 else ())),
    )


def _operator_names(model: Table) -> list[str]:
    known = _builtins()
    names = []
    for code in model.tables(_CODES):
        number = max(code.number(_BUILTIN, "<i"), code.number(_OLD_CODE, "b"))
        names.append(code.text(_CUSTOM) or known.get(number, f"builtin {number}"))
    return names


def _builtins() -> dict[int, str]:
    """Numbers of LiteRT's own operators -> their names; {} where its package is not installed."""
    try:
        from ai_edge_litert.schema_py_generated import BuiltinOperator
    except ImportError:
        return {}
    return {number: name for name, number in vars(BuiltinOperator).items() if name.isupper()}
