"""Layers of several inputs."""

from __future__ import annotations

from functools import partial

from edgeflow_converters.sources.keras.translation import FIRST_AXIS, Layer, Translation, Write


def merged(t: Translation, layer: Layer, kind: str) -> None:
    """Number by number, the inputs one after another."""
    if len({t.rank(source) for source in layer.inputs}) > 1:
        raise t.declined(layer, "its inputs differ in their number of axes")
    first = t.is_first(*layer.inputs)
    names = [t.first(source) if first else t.last(source) for source in layer.inputs]
    made = names[0]
    for name in names[1:]:
        made = t.onnx.node(kind, [made, name])
    t.give(layer.output, made, first=first)


def average(t: Translation, layer: Layer) -> None:
    first = t.is_first(*layer.inputs)
    names = [t.first(source) if first else t.last(source) for source in layer.inputs]
    t.give(layer.output, t.onnx.node("Mean", names), first=first)


def concatenate(t: Translation, layer: Layer) -> None:
    axis = int(layer.config.get("axis", -1)) % t.rank(layer.output)
    first = t.is_first(*layer.inputs)
    names = [t.first(source) if first else t.last(source) for source in layer.inputs]
    place = FIRST_AXIS[axis] if first else axis
    t.give(layer.output, t.onnx.node("Concat", names, axis=place), first=first)


KINDS: dict[str, Write] = {
    "Add": partial(merged, kind="Add"),
    "Subtract": partial(merged, kind="Sub"),
    "Multiply": partial(merged, kind="Mul"),
    "Maximum": partial(merged, kind="Max"),
    "Minimum": partial(merged, kind="Min"),
    "Average": average,
    "Concatenate": concatenate,
}
