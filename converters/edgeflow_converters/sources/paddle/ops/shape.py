"""The same elements in another shape, order or type; and shapes themselves."""

from __future__ import annotations

from edgeflow_converters.paddle.read import Operation
from edgeflow_converters.sources.paddle.builder import Builder, Mirror
from edgeflow_converters.sources.paddle.ops.constant import DTYPES

_INT32, _INT64 = 6, 7  # TensorProto.DataType


def reshape(builder: Builder, operation: Operation) -> None:
    """0 keeps an axis and -1 is what is left, as in ONNX."""
    shape = whole_numbers(builder, operation, "Shape", "ShapeTensor", "shape")
    builder.write(operation, "Out", builder.node("Reshape", builder.read(operation, "X"), shape))


def whole_numbers(builder: Builder, operation: Operation, one: str, several: str, attribute: str) -> str:
    """A list of int64: of a tensor in slot `one`, of tensors in slot `several`, or of an attribute."""
    if builder.has(operation, several):
        flat = builder.constant([1], dtype="int64")
        parts = [
            builder.node("Reshape", builder.node("Cast", name, to=_INT64), flat)
            for name in builder.all(operation, several)
        ]
        return builder.node("Concat", *parts, axis=0)
    if builder.has(operation, one):
        return builder.node("Cast", builder.read(operation, one), to=_INT64)
    return builder.constant(operation.attributes[attribute], dtype="int64")


def squeeze(builder: Builder, operation: Operation) -> None:
    axes = operation.attributes.get("axes") or []
    named = [builder.constant(axes, dtype="int64")] if axes else []
    builder.write(operation, "Out", builder.node("Squeeze", builder.read(operation, "X"), *named))


def unsqueeze(builder: Builder, operation: Operation) -> None:
    axes = whole_numbers(builder, operation, "AxesTensor", "AxesTensorList", "axes")
    builder.write(operation, "Out", builder.node("Unsqueeze", builder.read(operation, "X"), axes))


def flatten(builder: Builder, operation: Operation) -> None:
    """flatten_contiguous_range: the axes from start to stop become one."""
    rank, source = builder.rank(operation, "X"), builder.read(operation, "X")
    start, stop = (int(operation.attributes[f"{name}_axis"]) % rank for name in ("start", "stop"))
    shape = builder.constant([0] * start + [-1], dtype="int64")
    if stop < rank - 1:
        ends = [builder.constant([place], dtype="int64") for place in (stop + 1, rank)]
        shape = builder.node(
            "Concat", shape, builder.node("Slice", builder.node("Shape", source), *ends), axis=0
        )
    builder.write(operation, "Out", builder.node("Reshape", source, shape))


def flatten2(builder: Builder, operation: Operation) -> None:
    axis = int(operation.attributes.get("axis", 1))
    builder.write(operation, "Out", builder.node("Flatten", builder.read(operation, "X"), axis=axis))


def transpose(builder: Builder, operation: Operation) -> None:
    perm = operation.attributes["axis"]
    builder.write(operation, "Out", builder.node("Transpose", builder.read(operation, "X"), perm=perm))


def cast(builder: Builder, operation: Operation) -> None:
    import numpy as np
    import onnx

    number = operation.attributes["out_dtype"]
    if number not in DTYPES:
        raise builder.declined(operation, f"it makes elements of kind {number}")
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(DTYPES[number]))
    builder.write(operation, "Out", builder.node("Cast", builder.read(operation, "X"), to=kind))


def shape_of(builder: Builder, operation: Operation) -> None:
    shape = builder.node("Shape", builder.read(operation, "Input"))
    builder.write(operation, "Out", builder.node("Cast", shape, to=_INT32))


def expand(builder: Builder, operation: Operation) -> None:
    """-1 keeps an axis, which 1 does in ONNX."""
    source = builder.read(operation, "X")
    if builder.has(operation, "Shape") or builder.has(operation, "expand_shapes_tensor"):
        told = whole_numbers(builder, operation, "Shape", "expand_shapes_tensor", "shape")
        one = builder.constant([1], dtype="int64")
        shape = builder.node("Max", told, one)
    else:
        sizes = [max(1, int(size)) for size in operation.attributes["shape"]]
        shape = builder.constant(sizes, dtype="int64")
    builder.write(operation, "Out", builder.node("Expand", source, shape))


def expand_as(builder: Builder, operation: Operation) -> None:
    source = builder.read(operation, "X")
    if builder.has(operation, "Y"):
        shape = builder.node("Shape", builder.read(operation, "Y"))
    else:
        shape = builder.constant(operation.attributes["target_shape"], dtype="int64")
    builder.write(operation, "Out", builder.node("Expand", source, shape))


def tile(builder: Builder, operation: Operation) -> None:
    source, rank = builder.read(operation, "X"), builder.rank(operation, "X")
    if builder.has(operation, "RepeatTimes") or builder.has(operation, "repeat_times_tensor"):
        raise builder.declined(operation, "how often it repeats is computed")
    times = [int(count) for count in operation.attributes["repeat_times"]]
    if len(times) > rank:
        axes = builder.constant(list(range(len(times) - rank)), dtype="int64")
        source = builder.node("Unsqueeze", source, axes)
    times = [1] * (rank - len(times)) + times
    builder.write(operation, "Out", builder.node("Tile", source, builder.constant(times, dtype="int64")))


def pixel_shuffle(builder: Builder, operation: Operation) -> None:
    if operation.attributes.get("data_format", "NCHW") != "NCHW":
        raise builder.declined(operation, "its channels come last")
    size = int(operation.attributes.get("upscale_factor", 1))
    source = builder.read(operation, "X")
    builder.write(operation, "Out", builder.node("DepthToSpace", source, blocksize=size, mode="CRD"))


MIRRORS: dict[str, Mirror] = {
    "reshape2": reshape,
    "squeeze2": squeeze,
    "unsqueeze2": unsqueeze,
    "flatten_contiguous_range": flatten,
    "flatten2": flatten2,
    "transpose2": transpose,
    "cast": cast,
    "shape": shape_of,
    "expand_v2": expand,
    "expand_as_v2": expand_as,
    "tile": tile,
    "pixel_shuffle": pixel_shuffle,
}
