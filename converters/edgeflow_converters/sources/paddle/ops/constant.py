"""Tensors that are made of numbers in the program."""

from __future__ import annotations

from edgeflow_converters.paddle import wire
from edgeflow_converters.paddle.read import Operation
from edgeflow_converters.sources.paddle.builder import Builder, Mirror

DTYPES = {number: name for name, number in wire.DTYPES.items()}
_VALUES = {
    "float32": "fp32_values", "int32": "int32_values", "int64": "int64_values", "bool": "bool_values",
}  # fmt: skip


def filled(builder: Builder, operation: Operation) -> None:
    """fill_constant: one number everywhere."""
    import numpy as np

    if any(builder.has(operation, slot) for slot in ("ShapeTensor", "ShapeTensorList", "ValueTensor")):
        raise builder.declined(operation, "its shape or value is computed")
    dtype = _dtype(builder, operation)
    text = operation.attributes.get("str_value") or ""
    value = (
        float(text)
        if text and "float" in dtype
        else int(float(text))
        if text
        else operation.attributes["value"]
    )
    array = np.full(operation.attributes.get("shape") or [], value, dtype)
    builder.write(operation, "Out", builder.constant(array))


def listed(builder: Builder, operation: Operation) -> None:
    """assign_value: every number is told."""
    import numpy as np

    dtype = _dtype(builder, operation)
    values = operation.attributes.get(_VALUES.get(dtype, "")) or operation.attributes.get("values")
    if not values:
        raise builder.declined(operation, f"it tells no numbers of {dtype}")
    array = np.array(values, dtype).reshape(operation.attributes["shape"])
    builder.write(operation, "Out", builder.constant(array))


def alike(builder: Builder, operation: Operation) -> None:
    """fill_any_like: one number in another tensor's shape."""
    number = operation.attributes.get("dtype", -1)
    dtype = builder.dtype(operation, "X") if number < 0 else _dtype(builder, operation)
    value = builder.constant(operation.attributes.get("value", 0.0), dtype=dtype)
    shape = builder.node("Shape", builder.read(operation, "X"))
    builder.write(operation, "Out", builder.node("Expand", value, shape))


def counted(builder: Builder, operation: Operation) -> None:
    """range: from Start, by Step, before End."""
    inputs = []
    for slot in ("Start", "End", "Step"):
        nothing = builder.constant([], dtype="int64")
        inputs.append(builder.node("Reshape", builder.read(operation, slot), nothing))
    builder.write(operation, "Out", builder.node("Range", *inputs))


def _dtype(builder: Builder, operation: Operation) -> str:
    number = operation.attributes.get("dtype")
    if number not in DTYPES:
        raise builder.declined(operation, f"it makes elements of kind {number}")
    return DTYPES[number]


MIRRORS: dict[str, Mirror] = {
    "fill_constant": filled,
    "assign_value": listed,
    "fill_any_like": alike,
    "range": counted,
}
