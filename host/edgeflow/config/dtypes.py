"""The element types of tensors, by the names that the wire protocol and NumPy share."""

from __future__ import annotations

from typing import Literal

Dtype = Literal[
    "float32",
    "float64",
    "float16",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "bool",
]

_LARGEST_FLOAT = {"float16": 65504.0, "float32": 3.4028234663852886e38, "float64": 1.7976931348623157e308}
"""The largest finite values of IEEE 754 binary16, binary32 and binary64."""


def is_float(dtype: Dtype) -> bool:
    return dtype.startswith("float")


def size_bytes(dtype: Dtype) -> int:
    """Bytes of one element."""
    return 1 if dtype == "bool" else _bits(dtype) // 8


def limits(dtype: Dtype) -> tuple[float, float]:
    """The smallest and the largest finite value of a type."""
    if is_float(dtype):
        return -_LARGEST_FLOAT[dtype], _LARGEST_FLOAT[dtype]
    if dtype == "bool":
        return 0, 1
    if dtype.startswith("u"):
        return 0, 2 ** _bits(dtype) - 1
    return -(2 ** (_bits(dtype) - 1)), 2 ** (_bits(dtype) - 1) - 1


def _bits(dtype: Dtype) -> int:
    return int(dtype.lstrip("uintfloa"))
