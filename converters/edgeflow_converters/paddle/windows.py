"""What convolutions and poolings share: how a window is padded."""

from __future__ import annotations

from edgeflow_converters.paddle.graph import Node


def padding(
    node: Node, sizes: tuple[int, ...], kernel: list[int], strides: list[int], dilations: list[int]
) -> list[int]:
    """The pads as Paddle lists them: before and after, axis by axis."""
    mode = node.text("auto_pad", "NOTSET")
    rank = len(kernel)
    if mode == "NOTSET":
        pads = node.list("pads", [0] * 2 * rank)
        return [pads[axis + side * rank] for axis in range(rank) for side in (0, 1)]
    found: list[int] = []
    for size, window, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        reach = (window - 1) * dilation + 1
        total = 0 if mode == "VALID" else max(0, (-(-size // stride) - 1) * stride + reach - size)
        less, more = total // 2, total - total // 2
        found += [more, less] if mode == "SAME_LOWER" else [less, more]
    return found
