"""What convolutions and poolings share: where the channels are, and how a window is padded."""

from __future__ import annotations

from typing import Any

from edgeflow_converters.paddle.read import Operation
from edgeflow_converters.sources.paddle.builder import Builder

_FIRST = ("NCHW", "NCDHW", "NCL", "AnyLayout", "")


def require_channels_first(builder: Builder, operation: Operation, name: str = "data_format") -> None:
    """Raises UnsupportedModel where the channels are not the second axis."""
    if str(operation.attributes.get(name, "NCHW")) not in _FIRST:
        raise builder.declined(operation, f"its layout is {operation.attributes[name]}")


def padding(builder: Builder, operation: Operation, rank: int) -> dict[str, Any]:
    """ONNX's attributes for the padding: Paddle lists one number an axis, or two, axis by axis."""
    algorithm = operation.attributes.get("padding_algorithm") or "EXPLICIT"
    if algorithm == "VALID":
        return {"pads": [0] * 2 * rank}
    if algorithm == "SAME":
        if set(operation.attributes.get("dilations") or [1]) != {1}:
            raise builder.declined(operation, "it is padded to the same size, and has holes (dilations)")
        return {"auto_pad": "SAME_UPPER"}
    told = list(operation.attributes["paddings"])
    before, after = (told[0::2], told[1::2]) if len(told) == 2 * rank else (told, told)
    return {"pads": [*before, *after]}
