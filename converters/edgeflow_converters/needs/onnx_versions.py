"""Which ONNX Runtime reads an ONNX file: by its IR version and operator sets.

Sources: ONNX Runtime's table "ONNX opset support" (onnxruntime.ai/docs/reference/compatibility.html), ONNX's
own table of releases, and what was executed: 1.11.1, 1.12.1, 1.14.1, 1.17.3, 1.18.1, 1.21.1, 1.22.1, 1.23.2
and 1.24.1 were given a model of one node in every operator set and IR version. Newer ones read all that older
ones do.

The file is walked here, not parsed by the onnx package, which takes longer to import than this takes.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from edgeflow_converters.errors import ConverterFailed
from edgeflow_converters.needs import Needs, numbers

_OF_OPSET: Mapping[int, str] = MappingProxyType(
    {
        11: "1.0", 12: "1.3", 13: "1.6", 14: "1.8", 15: "1.9", 16: "1.11", 17: "1.12", 18: "1.14", 19: "1.15",
        20: "1.17", 21: "1.18", 22: "1.21", 23: "1.23", 25: "1.24",
    }
)  # fmt: skip
"""Version of the standard operator set -> the first ONNX Runtime that has it."""
_OF_IR: Mapping[int, str] = MappingProxyType(
    {6: "1.0", 7: "1.3", 8: "1.11", 9: "1.15", 10: "1.18", 11: "1.23", 13: "1.24"}
)
_STANDARD = ("", "ai.onnx")
# Fields of onnx.proto.
_IR_VERSION, _GRAPH, _OPSETS = 1, 7, 8
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_NODE, _ATTRIBUTE, _SUBGRAPH, _SUBGRAPHS, _NODE_DOMAIN = 1, 5, 6, 11, 7
_VARINT, _BYTES = 0, 2


def needs(path: Path, verified: str) -> Needs:
    """What reads the model at `path`. Raises ConverterFailed if it is no ONNX file."""
    ir_version, opset, foreign = facts(path)
    what = f"ONNX, operator set {opset}, IR version {ir_version}"
    if foreign:
        why = f"operators of {', '.join(foreign)}, of which no table tells: the version that verified it"
        return Needs(what, verified, "", why)
    firsts = (_first(_OF_OPSET, opset), _first(_OF_IR, ir_version))
    known = [first for first in firsts if first is not None]
    if len(known) < len(firsts):
        return Needs(what, verified, "", "newer than the published tables: the version that verified it")
    return Needs(what, max(known, key=numbers), "", "ONNX Runtime's table of operator sets and IR versions")


def facts(path: Path) -> tuple[int, int, tuple[str, ...]]:
    """(IR version, version of the standard operator set, other domains that nodes use)."""
    ir_version, opset = 0, 0
    domains: set[str] = set()
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for field, value in _fields(data, 0, len(data)):
                if field == _IR_VERSION and isinstance(value, int):
                    ir_version = value
                elif field == _OPSETS and isinstance(value, tuple):
                    entry = dict(_fields(data, *value))
                    version = entry.get(_OPSET_VERSION, 0)
                    if _text(data, entry.get(_OPSET_DOMAIN)) in _STANDARD and isinstance(version, int):
                        opset = max(opset, version)
                elif field == _GRAPH and isinstance(value, tuple):
                    domains.update(_domains(data, value))
    except (IndexError, ValueError):
        raise ConverterFailed(f"{path.name} is no complete ONNX file") from None
    if not ir_version or not opset:
        raise ConverterFailed(f"{path.name} tells no ONNX version")
    return ir_version, opset, tuple(sorted(domains - set(_STANDARD)))


def _first(table: Mapping[int, str], wanted: int) -> str | None:
    """The first version that reads `wanted`; None beyond the table's end."""
    return next((version for number, version in sorted(table.items()) if number >= wanted), None)


_Value = int | tuple[int, int] | None


def _domains(data: mmap.mmap, graph: tuple[int, int]) -> Iterator[str]:
    for field, node in _fields(data, *graph):
        if field != _NODE or not isinstance(node, tuple):
            continue
        domain = ""
        for part, value in _fields(data, *node):
            if part == _NODE_DOMAIN:
                domain = _text(data, value)
            elif part == _ATTRIBUTE and isinstance(value, tuple):
                for inner, nested in _fields(data, *value):
                    if inner in (_SUBGRAPH, _SUBGRAPHS) and isinstance(nested, tuple):
                        yield from _domains(data, nested)
        yield domain


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, _Value]]:
    """(number, value) of each field of a protobuf message: an integer, or (begin, end) of its bytes."""
    while at < end:
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
        elif kind == _BYTES:
            length, at = _varint(data, at)
            if at + length > end:
                raise ValueError("a field ends after its message")
            yield key >> 3, (at, at + length)
            at += length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
            yield key >> 3, None
        else:
            raise ValueError(f"wire type {kind}")


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7


def _text(data: mmap.mmap, place: _Value) -> str:
    return data[slice(*place)].decode() if isinstance(place, tuple) else ""
