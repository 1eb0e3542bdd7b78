"""OpenVINO's IR: the .xml, and the weights beside it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from edgeflow_converters.errors import ModelUnreadable
from edgeflow_converters.formats import Description, Tensor

_DTYPES = {"f": "float", "i": "int", "u": "uint", "bf": "bfloat"}


def describe(path: Path, tools_root: Path) -> Description:
    del tools_root
    data = path.read_bytes()
    if b"<!ENTITY" in data:  # which an IR never has, and which can grow without end
        raise ModelUnreadable(f"{path} is no OpenVINO IR: it declares entities")
    try:
        net = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError) as error:
        raise ModelUnreadable(f"{path} is truncated or no XML: {error}", hint="copy it again") from error
    layers = net.find("layers")
    if net.tag != "net" or layers is None:
        raise ModelUnreadable(f"{path} is XML, but no OpenVINO IR: it has no <net> with <layers>")
    tensors, constants = [], 0
    for layer in layers:
        kind, name = layer.get("type", "?"), layer.get("name", "?")
        told = layer.find("data")
        if kind == "Const" and told is not None:
            size = told.get("size", "0")
            size_bytes = int(size) if size.isdigit() else 0
            constants += size_bytes
            shape = tuple(int(axis) for axis in re.findall(r"\d+", told.get("shape", "")))
            dtype = _dtype(told.get("element_type", "?"))
            tensors.append(Tensor(name, "constant", dtype, shape, size_bytes))
        elif kind in ("Parameter", "Result"):
            port = layer.find("output/port" if kind == "Parameter" else "input/port")
            axes = [] if port is None else [axis.text or "" for axis in port.findall("dim")]
            shape_of = tuple(int(axis) if axis.isdigit() else None for axis in axes)
            precision = "" if port is None else port.get("precision", "")
            wanted = "input" if kind == "Parameter" else "output"
            tensors.append(Tensor(name, wanted, _dtype(precision.lower().replace("fp", "f")), shape_of))
    weights = path.with_suffix(".bin")
    return Description(
        format="OpenVINO IR",
        version=net.get("version", "?"),
        producer="",
        operators=Counter(
            layer.get("type", "?") for layer in layers if layer.get("type") not in ("Parameter", "Result")
        ),
        tensors=tuple(tensors),
        parameters_bytes=constants,
        size_bytes=0,
        not_listed=("inner tensors",),
        notes=() if weights.is_file() else (f"{weights.name} is not beside it",),
    )


def _dtype(text: str) -> str:
    """f32 -> float32, i64 -> int64."""
    match = re.fullmatch(r"(bf|f|i|u)(\d+)", text)
    return f"{_DTYPES[match[1]]}{match[2]}" if match else text or "?"
