"""Which LiteRT reads a .tflite: by its operators and their versions.

Source: TensorFlow's table of the first runtime for each version of each operator
(tensorflow/lite/tools/versioning/runtime_version.cc). It ends with TensorFlow 2.11, and the agent runs
LiteRT, whose numbers began anew with 1.0 after TensorFlow 2.17: every LiteRT has what the table has. Newer
ones read what older ones do.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from edgeflow_converters.needs import Needs
from edgeflow_converters.targets.tflite_file import operators

_FIRST = "1.0"
_LISTED: Mapping[int, int] = MappingProxyType(
    {
        0: 4, 1: 3, 2: 3, 3: 6, 4: 6, 5: 2, 6: 5, 7: 3, 8: 1, 9: 9, 11: 2, 13: 1, 14: 3, 16: 4, 17: 3,
        18: 5, 19: 3, 21: 3, 22: 1, 23: 4, 25: 3, 26: 2, 28: 3, 34: 4, 36: 5, 37: 3, 38: 3, 39: 5, 40: 3,
        41: 5, 42: 2, 43: 2, 44: 3, 45: 6, 47: 1, 48: 2, 49: 4, 50: 2, 52: 3, 53: 4, 54: 1, 55: 4, 56: 3,
        57: 4, 58: 2, 59: 1, 60: 4, 61: 2, 62: 2, 63: 2, 64: 2, 65: 5, 66: 1, 67: 3, 68: 3, 69: 3, 70: 1,
        71: 3, 72: 3, 73: 1, 74: 2, 75: 1, 76: 2, 77: 1, 78: 1, 79: 3, 80: 2, 81: 2, 82: 3, 83: 3, 84: 1,
        85: 1, 86: 1, 87: 1, 88: 4, 89: 3, 90: 2, 91: 1, 92: 1, 94: 3, 95: 1, 96: 1, 97: 4, 98: 2, 99: 2,
        100: 2, 101: 4, 102: 2, 103: 1, 104: 1, 105: 3, 106: 1, 107: 3, 108: 1, 109: 2, 110: 1, 111: 1,
        112: 1, 113: 1, 114: 3, 116: 1, 117: 1, 118: 1, 119: 1, 120: 1, 121: 1, 122: 1, 123: 1, 126: 4,
        128: 1, 130: 3, 132: 1, 140: 1, 141: 1, 150: 2, 151: 1, 152: 1, 156: 1,
    }
)  # fmt: skip
"""Operator (its number in schema.fbs) -> its newest version in the table."""


def needs(path: Path, verified: str) -> Needs:
    """What reads the model at `path`. Raises ConverterFailed if it is no .tflite."""
    used = sorted(set(operators(path)))
    newer = [(code, version) for code, version in used if version > _LISTED.get(code, 0)]
    what = f"TensorFlow Lite, {len(used)} kinds of operators"
    if newer:
        told = ", ".join(f"{code} version {version}" for code, version in newer)
        return Needs(what, verified, "", f"operators that no table lists ({told}): what verified it")
    return Needs(what, _FIRST, "", "TensorFlow's table of operator versions")
