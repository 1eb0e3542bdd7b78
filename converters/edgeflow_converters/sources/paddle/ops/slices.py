"""Parts of tensors: put together, cut out, picked, and put into a frame."""

from __future__ import annotations

from edgeflow_converters.paddle.read import Operation
from edgeflow_converters.sources.paddle.builder import Builder, Mirror
from edgeflow_converters.sources.paddle.ops.shape import whole_numbers

_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "edge": "edge"}


def concat(builder: Builder, operation: Operation) -> None:
    axis = int(operation.attributes.get("axis", 0))
    if builder.has(operation, "AxisTensor"):
        axis = int(builder.value(operation, "AxisTensor").reshape(-1)[0])
    builder.write(operation, "Out", builder.node("Concat", *builder.all(operation, "X"), axis=axis))


def stack(builder: Builder, operation: Operation) -> None:
    axis = int(operation.attributes.get("axis", 0))
    axes = builder.constant([axis], dtype="int64")
    parts = [builder.node("Unsqueeze", name, axes) for name in builder.all(operation, "X")]
    builder.write(operation, "Y", builder.node("Concat", *parts, axis=axis))


def split(builder: Builder, operation: Operation) -> None:
    attributes, names = operation.attributes, operation.outputs["Out"]
    if builder.has(operation, "AxisTensor") or builder.has(operation, "SectionsTensorList"):
        raise builder.declined(operation, "where it cuts is computed")
    axis, inputs = int(attributes.get("axis", 0)), [builder.read(operation, "X")]
    sections = [int(size) for size in attributes.get("sections") or []]
    if sections:
        if -1 in sections:
            whole = builder.shape(operation, "X")[axis]
            if whole < 0:
                raise builder.declined(operation, "it cuts what is left of an open axis")
            sections[sections.index(-1)] = whole - sum(size for size in sections if size >= 0)
        inputs.append(builder.constant(sections, dtype="int64"))
    for index, made in enumerate(builder.nodes("Split", inputs, len(names), axis=axis)):
        builder.write(operation, "Out", made, index)


def cut(builder: Builder, operation: Operation) -> None:
    """slice and strided_slice; of axes of one element those in `decrease_axis` go."""
    attributes = operation.attributes
    axes = [int(axis) for axis in attributes["axes"]]
    limits = [
        whole_numbers(builder, operation, f"{name}Tensor", f"{name}TensorList", name.lower())
        for name in ("Starts", "Ends")
    ]
    limits.append(builder.constant(axes, dtype="int64"))
    if operation.kind == "strided_slice":
        if builder.has(operation, "StridesTensor") or builder.has(operation, "StridesTensorList"):
            raise builder.declined(operation, "its steps are computed")
        limits.append(builder.constant(attributes["strides"], dtype="int64"))
    made = builder.node("Slice", builder.read(operation, "Input"), *limits)
    gone = [int(axis) for axis in attributes.get("decrease_axis") or []]
    # Where every axis goes, a program of Paddle 2.4 and older still has one, of one element.
    rank = builder.rank(operation, "Input")
    if gone and not (len(gone) == rank and builder.rank(operation, "Out") == 1):
        made = builder.node("Squeeze", made, builder.constant(gone, dtype="int64"))
    builder.write(operation, "Out", made)


def gather(builder: Builder, operation: Operation) -> None:
    axis = int(operation.attributes.get("axis") or 0)
    if builder.has(operation, "Axis"):
        axis = int(builder.value(operation, "Axis").reshape(-1)[0])
    inputs = [builder.read(operation, slot) for slot in ("X", "Index")]
    builder.write(operation, "Out", builder.node("Gather", *inputs, axis=axis))


def gather_nd(builder: Builder, operation: Operation) -> None:
    places = builder.node("Cast", builder.read(operation, "Index"), to=7)  # TensorProto.INT64
    builder.write(operation, "Out", builder.node("GatherND", builder.read(operation, "X"), places))


def looked_up(builder: Builder, operation: Operation) -> None:
    """lookup_table_v2: rows of a table. What pads has no row, and is zero."""
    inputs = [builder.read(operation, slot) for slot in ("W", "Ids")]
    if int(operation.attributes.get("padding_idx", -1)) >= 0:
        table = builder.value(operation, "W").copy()
        table[int(operation.attributes["padding_idx"])] = 0
        inputs[0] = builder.constant(table)
    builder.write(operation, "Out", builder.node("Gather", *inputs, axis=0))


def pad(builder: Builder, operation: Operation) -> None:
    """pad2d and pad3d: the innermost axis is told last in the one and first in the other."""
    attributes = operation.attributes
    if builder.has(operation, "Paddings"):
        raise builder.declined(operation, "its frame is computed")
    told, mode = [int(count) for count in attributes["paddings"]], str(attributes.get("mode", "constant"))
    if mode not in _MODES or attributes.get("data_format", "NCHW") not in ("NCHW", "NCDHW"):
        raise builder.declined(operation, f"it pads by {mode}, {attributes.get('data_format')}")
    pairs = list(zip(told[0::2], told[1::2], strict=True))
    if operation.kind == "pad3d":
        pairs.reverse()
    frame = [0, 0, *(pair[0] for pair in pairs), 0, 0, *(pair[1] for pair in pairs)]
    value = attributes.get("pad_value", attributes.get("value", 0.0))
    inputs = [builder.read(operation, "X"), builder.constant(frame, dtype="int64")]
    inputs.append(builder.constant(value, dtype="float32"))
    builder.write(operation, "Out", builder.node("Pad", *inputs, mode=_MODES[mode]))


MIRRORS: dict[str, Mirror] = {
    "concat": concat,
    "stack": stack,
    "split": split,
    "slice": cut,
    "strided_slice": cut,
    "gather": gather,
    "gather_nd": gather_nd,
    "lookup_table_v2": looked_up,
    "pad2d": pad,
    "pad3d": pad,
}
