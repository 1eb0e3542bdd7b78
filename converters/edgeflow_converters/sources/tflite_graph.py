"""A .tflite file as tensors and operators. Field numbers and enumerations: tflite/schema/schema.fbs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from edgeflow_converters.errors import ModelUnreadable, UnsupportedModel
from edgeflow_converters.flatbuffer import Damaged, Table, mark, root

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAGIC = b"TFL3"
_DTYPES = MappingProxyType(
    {
        0: "float32",
        1: "float16",
        2: "int32",
        3: "uint8",
        4: "int64",

        6: "bool",
        7: "int16",
        9: "int8",
        10: "float64",
    }
)  # fmt: skip
CUSTOM = 32
NAMES = MappingProxyType(
    {
        0: "ADD", 1: "AVERAGE_POOL_2D", 2: "CONCATENATION", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D",
        5: "DEPTH_TO_SPACE", 6: "DEQUANTIZE", 8: "FLOOR", 9: "FULLY_CONNECTED", 11: "L2_NORMALIZATION",
        14: "LOGISTIC", 16: "LSTM", 17: "MAX_POOL_2D", 18: "MUL", 19: "RELU", 20: "RELU_N1_TO_1", 21: "RELU6",
        22: "RESHAPE", 23: "RESIZE_BILINEAR", 25: "SOFTMAX", 26: "SPACE_TO_DEPTH", 28: "TANH", 34: "PAD",
        36: "GATHER", 37: "BATCH_TO_SPACE_ND", 38: "SPACE_TO_BATCH_ND", 39: "TRANSPOSE", 40: "MEAN",
        41: "SUB", 42: "DIV", 43: "SQUEEZE", 44: "UNIDIRECTIONAL_SEQUENCE_LSTM", 45: "STRIDED_SLICE",
        47: "EXP", 48: "TOPK_V2", 49: "SPLIT", 50: "LOG_SOFTMAX", 53: "CAST", 54: "PRELU", 55: "MAXIMUM",
        56: "ARG_MAX",
        57: "MINIMUM", 59: "NEG", 60: "PADV2", 65: "SLICE", 67: "TRANSPOSE_CONV", 68: "SPARSE_TO_DENSE",
        69: "TILE", 70: "EXPAND_DIMS", 73: "LOG", 74: "SUM", 75: "SQRT", 76: "RSQRT", 77: "SHAPE", 78: "POW",
        82: "REDUCE_MAX", 83: "PACK", 89: "REDUCE_MIN", 92: "SQUARE", 97: "RESIZE_NEAREST_NEIGHBOR",
        98: "LEAKY_RELU", 99: "SQUARED_DIFFERENCE", 101: "ABS", 114: "QUANTIZE", 117: "HARD_SWISH",
        124: "DENSIFY", 126: "BATCH_MATMUL", 150: "GELU",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor. `data` is set for constants; `quantized` says that its numbers stand for others."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: NDArray[Any] | None
    quantized: bool


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator: its name (a custom one's own), tensors by number (-1: none) and options."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None

    def option(self, field: int, kind: str = "b", default: float = 0) -> Any:
        return default if self.options is None else self.options.number(field, "<" + kind, default)


@dataclass(frozen=True, slots=True)
class Graph:
    tensors: Sequence[Tensor]
    operators: Sequence[Operator]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_graph(path: Path) -> Graph:
    """The one graph of `path`. Raises ModelUnreadable for a file that is cut or is none, UnsupportedModel for
    several graphs, a custom operator (by name), or a kind of tensor that ONNX here does not take."""
    data = path.read_bytes()
    if mark(data) != _MAGIC:
        raise _unreadable(
            path, f"it lacks the mark {_MAGIC.decode()}: it is truncated or not TensorFlow Lite"
        )
    try:
        return _read(path, root(data))
    except (Damaged, ValueError, IndexError, RecursionError) as error:
        raise _unreadable(path, f"it is truncated or damaged ({error})") from error


def _read(path: Path, model: Table) -> Graph:
    graphs = model.tables(2)
    if not graphs:
        raise Damaged("it has no graph")
    if len(graphs) != 1:
        raise UnsupportedModel(
            f"{path.name} has {len(graphs)} graphs; one is read", hint="export one graph by itself"
        )
    buffers = model.tables(4)
    graph = graphs[0]
    names = [_operator_name(code) for code in model.tables(1)]
    custom = sorted({name for code, name in zip(model.tables(1), names, strict=True) if code.content(1)})
    if custom:
        raise UnsupportedModel(
            f"{path.name} has the custom operator {', '.join(custom)}, which only its own runtime knows",
            hint="export the model without it",
        )
    tensors = [_tensor(table, buffers) for table in graph.tables(0)]
    operators = [
        Operator(
            names[table.number(0, "<I")],
            tuple(table.numbers(1, "<i")),
            tuple(table.numbers(2, "<i")),
            table.table(4),
        )
        for table in graph.tables(3)
    ]
    inputs, outputs = (tuple(graph.numbers(field, "<i")) for field in (1, 2))
    for index in (*inputs, *outputs, *(i for op in operators for i in (*op.inputs, *op.outputs))):
        if not -1 <= index < len(tensors):
            raise Damaged(f"tensor {index} of {len(tensors)}")
    if not operators or not outputs:
        raise Damaged("it computes nothing")
    return Graph(tensors, operators, inputs, outputs)


def _operator_name(code: Table) -> str:
    if code.content(1):
        return code.text(1)
    number = max(code.number(0, "b"), code.number(3, "<i"))
    return NAMES.get(number, f"operator {number}")


def _tensor(table: Table, buffers: Sequence[Table]) -> Tensor:
    import numpy as np

    kind, name = table.number(1, "b"), table.text(3)
    dtype = _DTYPES.get(kind)
    if dtype is None:
        raise UnsupportedModel(f"tensor {name} is of kind {kind}, which is not read")
    shape = tuple(table.numbers(0, "<i"))
    content = buffers[table.number(2, "<I")].content(0)
    if table.table(6) is not None:
        raise UnsupportedModel(f"tensor {name} is stored sparse, which is not read")
    if buffers[table.number(2, "<I")].number(1, "<Q") > 1:
        raise UnsupportedModel(f"tensor {name} lies outside of the FlatBuffer, which is not read")
    data = np.frombuffer(content, np.dtype(dtype).newbyteorder("<")).reshape(shape) if content else None
    quantization = table.table(4)
    quantized = quantization is not None and quantization.length(2) > 0
    return Tensor(name, dtype, shape, data, quantized)


def _unreadable(path: Path, why: str) -> ModelUnreadable:
    return ModelUnreadable(
        f"{path} cannot be read as TensorFlow Lite: {why}", hint="export or download it again"
    )
