"""Reads the structure of a QAIRT .dlc: operators, tensors, parameters. Pure Python, nothing of Qualcomm's.

A .dlc of version 4 is a ZIP archive, stored, whose CRCs are 0. `model` (mark NETD) holds graphs of operators
and tensors, `model.params` (NETP) where each tensor's bytes lie in `model.params.bin`; both begin with eight
bytes of their own, then come FlatBuffers. Two JSON members tell who made it. The numbers of fields were found
by looking at files that the QNN IR backend wrote of graphs that we knew; those of data types and kinds of
tensors are QNN's public ones (QnnTypes.h: Qnn_DataType_t, Qnn_TensorType_t).
"""

from __future__ import annotations

import io
import json
import math
import struct
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from edgeflow_converters import flatbuffer
from edgeflow_converters.errors import ModelUnreadable
from edgeflow_converters.flatbuffer import Damaged, Table

_MAGIC, _VERSION = 0x0AD5, 4
_HEADER_BYTES = 8
_MODEL, _PARAMS, _WEIGHTS = "model", "model.params", "model.params.bin"
_HISTORY = "dlc.metadata.history"

# Fields of NETD: a graph, an operator, a tensor.
_GRAPHS = 0
_G_NAME, _G_OPS, _G_TENSORS = 0, 1, 2
_O_NAME, _O_TYPE, _O_INPUTS, _O_OUTPUTS = 0, 1, 2, 3
_T_NAME, _T_KIND, _T_SHAPE, _T_DTYPE = 1, 2, 3, 6
# Fields of NETP: a graph's parameters, a parameter, where it lies.
_P_TENSORS = 1
_P_NAME, _P_PLACE = 0, 3
_L_OFFSET, _L_SIZE = 0, 1

KINDS = ("input", "output", "input and output", "inner", "constant", "none")
"""What a tensor is for, by QNN's numbers: APP_WRITE, APP_READ, APP_READWRITE, NATIVE, STATIC, NULL."""

DTYPES: Mapping[int, str] = MappingProxyType(
    {
        0x0008: "int8", 0x0016: "int16", 0x0032: "int32", 0x0064: "int64",
        0x0108: "uint8", 0x0116: "uint16", 0x0132: "uint32", 0x0164: "uint64",
        0x0216: "float16", 0x0232: "float32", 0x0264: "float64",
        0x0304: "sfixed4", 0x0308: "sfixed8", 0x0316: "sfixed16", 0x0332: "sfixed32",
        0x0404: "ufixed4", 0x0408: "ufixed8", 0x0416: "ufixed16", 0x0432: "ufixed32",
        0x0508: "bool",
    }
)  # fmt: skip
"""QNN's data types; sfixed and ufixed are quantized."""


@dataclass(frozen=True, slots=True)
class DlcTensor:
    """A tensor of a graph. `size_bytes` is what a constant takes in the file, else 0."""

    name: str
    kind: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class DlcOp:
    """An operator of a graph, by QNN's name for its kind."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dlc:
    """What a .dlc holds. `producer` and `made_by` are what its own record says."""

    version: int
    producer: str
    made_by: str
    graph: str
    ops: tuple[DlcOp, ...]
    tensors: tuple[DlcTensor, ...]
    params_bytes: int

    @property
    def op_counts(self) -> dict[str, int]:
        return dict(sorted(Counter(op.kind for op in self.ops).items()))

    def of_kind(self, kind: str) -> tuple[DlcTensor, ...]:
        """The graph's tensors of one of KINDS."""
        return tuple(tensor for tensor in self.tensors if tensor.kind == kind)


def read_dlc(path: Path) -> Dlc:
    """The structure of the .dlc at `path`.

    Raises ModelUnreadable for what is missing, truncated, damaged, no .dlc, or of another version.
    """
    try:
        members = _members(path.read_bytes())
        version, model = _body(members, _MODEL, b"NETD")
        _, params = _body(members, _PARAMS, b"NETP")
        graphs = flatbuffer.root(model).tables(_GRAPHS)
        if len(graphs) != 1:
            raise Damaged(f"it holds {len(graphs)} graphs, one was expected")
        weights_bytes = len(members.get(_WEIGHTS, b""))
        sizes = _sizes(flatbuffer.root(params), weights_bytes)
        producer, made_by = _history(members)
        dlc = Dlc(
            version=version,
            producer=producer,
            made_by=made_by,
            graph=graphs[0].text(_G_NAME),
            ops=tuple(_op(table) for table in graphs[0].tables(_G_OPS)),
            tensors=tuple(_tensor(table, sizes) for table in graphs[0].tables(_G_TENSORS)),
            params_bytes=weights_bytes,
        )
        _require_whole(dlc)
    except FileNotFoundError as error:
        raise ModelUnreadable(f"{path} does not exist", hint="check the path of the file") from error
    except OSError as error:
        raise ModelUnreadable(f"cannot read {path}: {error.strerror or error}") from error
    except (Damaged, zipfile.BadZipFile, NotImplementedError, EOFError, ValueError,
            OverflowError, struct.error, RuntimeError) as error:  # fmt: skip
        raise ModelUnreadable(
            f"{path} is not a whole .dlc of version {_VERSION}: {' '.join(str(error).split())[:200]}",
            hint="convert the model again, or copy the file again",
        ) from error
    return dlc


def _members(file: bytes) -> dict[str, bytes]:
    found = {}
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED:  # a small file could grow without end
                raise Damaged(f"its member {member.filename[:40]!r} is compressed")
            with archive.open(member) as stream:
                # The CRCs of these archives are 0: Python's own check would refuse every one.
                if not member.CRC:
                    stream._expected_crc = None  # type: ignore[attr-defined]
                data = stream.read()
            if len(data) != member.file_size:
                raise Damaged(f"its member {member.filename[:40]!r} ends early")
            found[member.filename] = data
    return found


def _body(members: Mapping[str, bytes], name: str, mark: bytes) -> tuple[int, bytes]:
    """The version in a member's own header, and the FlatBuffer behind it."""
    if name not in members:
        raise Damaged(f"it has no member {name!r}")
    data = members[name]
    magic, version = flatbuffer.at(data, 0, "<H"), flatbuffer.at(data, 2, "<H")
    if magic != _MAGIC or version != _VERSION or flatbuffer.mark(data[_HEADER_BYTES:]) != mark:
        raise Damaged(f"its member {name!r} begins with {data[:16].hex()}")
    return version, data[_HEADER_BYTES:]


def _op(table: Table) -> DlcOp:
    return DlcOp(
        name=table.text(_O_NAME),
        kind=table.text(_O_TYPE),
        inputs=tuple(table.texts(_O_INPUTS)),
        outputs=tuple(table.texts(_O_OUTPUTS)),
    )


def _tensor(table: Table, sizes: Mapping[str, int]) -> DlcTensor:
    name, kind, dtype = table.text(_T_NAME), table.number(_T_KIND, "B"), table.number(_T_DTYPE, "<I")
    if kind >= len(KINDS):
        raise Damaged(f"tensor {name[:40]!r} is of kind {kind}")
    return DlcTensor(
        name=name,
        kind=KINDS[kind],
        dtype=DTYPES.get(dtype, f"type {dtype:#06x}"),
        shape=tuple(table.numbers(_T_SHAPE, "<I")),
        size_bytes=sizes.get(name, 0) if KINDS[kind] == "constant" else 0,
    )


def _sizes(root: Table, weights_bytes: int) -> dict[str, int]:
    """Tensor name -> its bytes, each inside the archive's weights."""
    sizes = {}
    for graph in root.tables(_GRAPHS):
        for param in graph.tables(_P_TENSORS):
            name, place = param.text(_P_NAME), param.table(_P_PLACE)
            if place is None:
                continue
            offset, size = place.number(_L_OFFSET, "<Q"), place.number(_L_SIZE, "<Q")
            if offset + size > weights_bytes:
                raise Damaged(f"the weights of {name[:40]!r} lie outside of the file")
            sizes[name] = size
    return sizes


def _require_whole(dlc: Dlc) -> None:
    """Every tensor that an operator names is there, and constants have the bytes that their shapes need."""
    if not dlc.ops or not dlc.of_kind("output"):
        raise Damaged("its graph has no operators or no outputs")
    known = {tensor.name for tensor in dlc.tensors}
    for op in dlc.ops:
        for name in (*op.inputs, *op.outputs):
            if name and name not in known:
                raise Damaged(f"operator {op.name[:40]!r} names a tensor that is not there: {name[:40]!r}")
    for tensor in dlc.of_kind("constant"):
        width = _bytes_of(tensor.dtype)
        if width and tensor.size_bytes != width * math.prod(tensor.shape):
            raise Damaged(f"constant {tensor.name[:40]!r} has {tensor.size_bytes} bytes for its shape")


def _bytes_of(dtype: str) -> int:
    digits = "".join(letter for letter in dtype if letter.isdigit())
    return 0 if not digits or digits == "4" else int(digits) // 8


def _history(members: Mapping[str, bytes]) -> tuple[str, str]:
    """The version of the converter, and which tool it was."""
    for name, data in members.items():
        if name.startswith(_HISTORY):
            told: Any = json.loads(data)
            try:
                command = told["dlcGenerationInfo"][0]["converterCommand"]
                return str(command["converterVersion"]), str(command["args"].get("backend", command["tool"]))
            except (KeyError, IndexError, TypeError, AttributeError):
                return "", ""
    return "", ""
