"""Poolings over images."""

from __future__ import annotations

from typing import Any

from edgeflow_converters.paddle.read import Operation
from edgeflow_converters.sources.paddle.builder import Builder, Mirror
from edgeflow_converters.sources.paddle.windows import padding, require_channels_first


def pool(builder: Builder, operation: Operation) -> None:
    require_channels_first(builder, operation)
    attributes, source = operation.attributes, builder.read(operation, "X")
    largest = attributes.get("pooling_type", "max") == "max"
    kernel = list(attributes["ksize"])
    adaptive = bool(attributes.get("adaptive"))
    if attributes.get("global_pooling") or (adaptive and set(kernel) == {1}):
        made = builder.node("GlobalMaxPool" if largest else "GlobalAveragePool", source)
        builder.write(operation, "Out", made)
        return
    if adaptive:
        sizes = builder.shape(operation, "X")[2:]
        if any(size < 0 or size % wanted for size, wanted in zip(sizes, kernel, strict=True)):
            raise builder.declined(operation, "its windows are of different sizes, or open ones")
        kernel = [size // wanted for size, wanted in zip(sizes, kernel, strict=True)]
        told: dict[str, Any] = {"kernel_shape": kernel, "strides": kernel}
    else:
        told = {
            "kernel_shape": kernel,
            "strides": attributes["strides"],
            **padding(builder, operation, len(kernel)),
        }
        told["ceil_mode"] = int(bool(attributes.get("ceil_mode")))
    if largest:
        builder.write(operation, "Out", builder.node("MaxPool", source, **told))
        return
    counted = not attributes.get("exclusive", True)
    if counted and told.get("ceil_mode"):
        raise builder.declined(operation, "it counts padding and rounds its size up at once")
    builder.write(
        operation, "Out", builder.node("AveragePool", source, count_include_pad=int(counted), **told)
    )


MIRRORS: dict[str, Mirror] = {"pool2d": pool, "pool3d": pool}
