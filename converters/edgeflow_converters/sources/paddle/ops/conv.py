"""Convolutions, and transposed ones, over images."""

from __future__ import annotations

from typing import Any

from edgeflow_converters.paddle.read import Operation
from edgeflow_converters.sources.paddle.builder import Builder, Mirror
from edgeflow_converters.sources.paddle.windows import padding, require_channels_first


def conv(builder: Builder, operation: Operation) -> None:
    _convolved(builder, operation, "Conv")


def transposed(builder: Builder, operation: Operation) -> None:
    if operation.attributes.get("output_size") or builder.has(operation, "OutputSizeTensor"):
        raise builder.declined(operation, "it tells its output's size instead of its pads")
    more = operation.attributes.get("output_padding") or []
    _convolved(builder, operation, "ConvTranspose", **({"output_padding": more} if any(more) else {}))


def _convolved(builder: Builder, operation: Operation, kind: str, **more: Any) -> None:
    require_channels_first(builder, operation)
    kernel = list(builder.shape(operation, "Filter")[2:])
    attributes = operation.attributes
    inputs = [builder.read(operation, slot) for slot in ("Input", "Filter")]
    if builder.has(operation, "Bias"):
        inputs.append(builder.read(operation, "Bias"))
    made = builder.node(
        kind,
        *inputs,
        kernel_shape=kernel,
        strides=attributes["strides"],
        dilations=attributes["dilations"],
        group=int(attributes.get("groups", 1)),
        **padding(builder, operation, len(kernel)),
        **more,
    )
    builder.write(operation, "Output", made)


MIRRORS: dict[str, Mirror] = {
    "conv2d": conv,
    "depthwise_conv2d": conv,
    "conv3d": conv,
    "conv2d_transpose": transposed,
    "depthwise_conv2d_transpose": transposed,
}
