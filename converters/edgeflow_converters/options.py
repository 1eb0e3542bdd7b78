"""The one table of what a conversion can be told beyond its precision, by runtime.

Given in a recipe (`conversion: {snpe: {activations: 16, htp: [v73, v75]}}`) or on the command line
(`--option activations=16 --option htp=v73,v75`).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from edgeflow_converters.errors import UnknownTarget

Value = bool | int | str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Option:
    """One option: the values that it takes, the default first, and what it does. With `many` it takes any of
    them together, and none by default."""

    values: tuple[bool | int | str, ...]
    what: str
    many: bool = False


OPTIONS: Mapping[str, Mapping[str, Option]] = MappingProxyType(
    {
        "snpe": MappingProxyType(
            {
                "activations": Option((8, 16), "bits of int8's activations"),
                "htp": Option(
                    ("v69", "v73", "v75", "v79"), "generations of the HTP to compile contexts for", many=True
                ),
            }
        ),
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
        option = known[name]
        given_values = _several(value) if option.many else (value,)
        for each in given_values:
            if not any(each == one and type(each) is type(one) for one in option.values):
                raise UnknownTarget(
                    f"{runtime}'s option {name} cannot be {_told(each)}",
                    hint=f"it takes: {', '.join(map(_told, option.values))}",
                )
        if option.many and given_values:
            chosen[name] = tuple(dict.fromkeys(given_values))
        elif not option.many and value != option.values[0]:
            chosen[name] = value
    return chosen


def _several(value: Any) -> tuple[Any, ...]:
    """The values of a YAML list, or of words with commas between them."""
    return (
        tuple(value.split(","))
        if isinstance(value, str)
        else tuple(value)
        if isinstance(value, list | tuple)
        else (value,)
    )


def _near(name: str, known: Mapping[str, Option]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _told(value: object) -> str:
    """As a person writes it in YAML and on the command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)
