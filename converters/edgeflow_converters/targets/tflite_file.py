"""Reads the little of a .tflite file that has to be known before it is loaded.

Field 1 of the model is the vector of operator codes: field 0 is the number of an operator below 127, 1 the
name of a custom one, 2 its version (1 if absent), 3 its number since there are more. Source:
tflite/schema/schema.fbs.
"""

from __future__ import annotations

from pathlib import Path

from edgeflow_converters.errors import ConverterFailed
from edgeflow_converters.flatbuffer import Damaged, Table, mark, root

_MAGIC = b"TFL3"
_OPERATOR_CODES = 1
_OLD_CODE, _CUSTOM_CODE, _VERSION, _CODE = 0, 1, 2, 3


def custom_operators(path: Path) -> list[str]:
    """Names of the operators in the file that are none of LiteRT's own.

    Raises ConverterFailed if it is no model.
    """
    try:
        return [name for name in (code.text(_CUSTOM_CODE) for code in _operator_codes(path)) if name]
    except Damaged as error:
        raise _damaged(path) from error


def operators(path: Path) -> list[tuple[int, int]]:
    """(number, version) of each operator that the file uses. Raises ConverterFailed if it is no model."""
    try:
        return [
            (max(code.number(_OLD_CODE, "b"), code.number(_CODE, "<i")), code.number(_VERSION, "<i", 1))
            for code in _operator_codes(path)
        ]
    except Damaged as error:
        raise _damaged(path) from error


def _operator_codes(path: Path) -> list[Table]:
    data = path.read_bytes()
    if mark(data) != _MAGIC:
        raise ConverterFailed(f"{path.name} is no TensorFlow Lite model: it lacks the mark {_MAGIC.decode()}")
    return root(data).tables(_OPERATOR_CODES)


def _damaged(path: Path) -> ConverterFailed:
    return ConverterFailed(f"{path.name} is truncated or damaged")
