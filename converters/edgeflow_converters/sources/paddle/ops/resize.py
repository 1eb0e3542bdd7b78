"""Resizing images, by the nearest neighbour or between four."""

from __future__ import annotations

from edgeflow_converters.paddle.read import Operation
from edgeflow_converters.sources.paddle.builder import Builder, Mirror
from edgeflow_converters.sources.paddle.windows import require_channels_first


def resize(builder: Builder, operation: Operation) -> None:
    require_channels_first(builder, operation, "data_layout")
    corners = bool(operation.attributes.get("align_corners"))
    if operation.kind.startswith("nearest"):
        told = {"mode": "nearest", "nearest_mode": "round_prefer_ceil" if corners else "floor"}
        grid = "asymmetric"
    else:
        told = {"mode": "linear"}
        grid = "asymmetric" if operation.attributes.get("align_mode", 1) == 1 else "half_pixel"
    told["coordinate_transformation_mode"] = "align_corners" if corners else grid
    source = builder.read(operation, "X")
    builder.write(
        operation, "Out", builder.node("Resize", source, "", *_extent(builder, operation, source), **told)
    )


def _extent(builder: Builder, operation: Operation, source: str) -> list[str]:
    """Resize's scales, or "" and its sizes. Computed sizes count before scales, scales before told sizes."""
    attributes = operation.attributes
    if builder.has(operation, "Scale"):
        raise builder.declined(operation, "its scale is a tensor")
    sizes = ""
    if builder.has(operation, "SizeTensor"):
        parts = [_whole(builder, name) for name in builder.all(operation, "SizeTensor")]
        sizes = builder.node("Concat", *parts, axis=0)
    elif builder.has(operation, "OutSize"):
        sizes = builder.node("Cast", builder.read(operation, "OutSize"), to=7)  # TensorProto.INT64
    if not sizes:
        scale = attributes.get("scale")
        scales = [scale] if isinstance(scale, float) else list(scale or [])
        if scales and min(scales) > 0:
            scales = scales * 2 if len(scales) == 1 else scales
            return [builder.constant([1.0, 1.0, *scales], dtype="float32")]
        told = [int(attributes.get(name, -1)) for name in ("out_h", "out_w")]
        if min(told) < 1:
            raise builder.declined(operation, "it tells neither a scale nor a size")
        sizes = builder.constant(told, dtype="int64")
    first = builder.node("Slice", builder.node("Shape", source), *_range(builder, 0, 2))
    return ["", builder.node("Concat", first, sizes, axis=0)]


def _whole(builder: Builder, name: str) -> str:
    """A computed number, as int64 in one axis."""
    one = builder.node("Reshape", name, builder.constant([1], dtype="int64"))
    return builder.node("Cast", one, to=7)


def _range(builder: Builder, start: int, end: int) -> list[str]:
    return [builder.constant([place], dtype="int64") for place in (start, end)]


MIRRORS: dict[str, Mirror] = dict.fromkeys(
    ("nearest_interp", "nearest_interp_v2", "bilinear_interp", "bilinear_interp_v2"), resize
)
