"""The one table of what a conversion can be told beyond its precision, by runtime.

Given in a recipe (`conversion: {tflite: {engine: tensorflow}}`) or on the command line
(`--option engine=tensorflow`).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from edgeflow_converters.errors import UnknownTarget

Value = bool | int | str


@dataclass(frozen=True, slots=True)
class Option:
    """One option: the values that it takes, the default first, and what it does."""

    values: tuple[Value, ...]
    what: str


OPTIONS: Mapping[str, Mapping[str, Option]] = MappingProxyType(
    {
        "tflite": MappingProxyType(
            {
                "engine": Option(
                    ("onnx2tf", "tensorflow"),
                    "what writes the float32 file: onnx2tf, or TensorFlow's own converter behind it",
                ),
                "xnnpack": Option((True, False), "computes on XNNPACK, or on LiteRT's own kernels"),
            }
        ),
    }
)


def checked(runtime: str, given: Mapping[str, Any]) -> dict[str, Value]:
    """`given` without what is the default anyway, so that saying it makes no other artifact.

    Raises UnknownTarget for an option that the runtime has not, or a value that the option does not take.
    """
    known = OPTIONS.get(runtime, {})
    chosen: dict[str, Value] = {}
    for name, value in given.items():
        if name not in known:
            raise UnknownTarget(
                f"{runtime} has no option {name!r} of conversion{_near(name, known)}",
                hint=f"its options: {', '.join(known) or 'none'}",
            )
        values = known[name].values
        if not any(value == each and type(value) is type(each) for each in values):
            raise UnknownTarget(
                f"{runtime}'s option {name} cannot be {_told(value)}",
                hint=f"it takes: {', '.join(map(_told, values))}",
            )
        if value != values[0]:
            chosen[name] = value
    return chosen


def _near(name: str, known: Mapping[str, Option]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _told(value: object) -> str:
    """As a person writes it in YAML and on the command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)
