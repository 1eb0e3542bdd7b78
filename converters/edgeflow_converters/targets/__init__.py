"""Target runtimes: one module each, found by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgeflow_converters.errors import UnknownTarget
from edgeflow_converters.precision import RUNTIMES

if TYPE_CHECKING:
    from edgeflow_converters.base import Converter


def get_target(name: str, tools_root: Path) -> Converter:
    """The converter for runtime `name`. External tools live in `tools_root`. Raises UnknownTarget."""
    if name == "mnn":
        from edgeflow_converters.targets.mnn import MnnConverter

        return MnnConverter(tools_root)
    if name == "ncnn":
        from edgeflow_converters.targets.ncnn import NcnnConverter

        return NcnnConverter(tools_root)
    if name == "onnxruntime":
        from edgeflow_converters.targets.onnxruntime import OnnxruntimeConverter

        return OnnxruntimeConverter()
    if name == "openvino":
        from edgeflow_converters.targets.openvino import OpenvinoConverter

        return OpenvinoConverter(tools_root)
    if name == "paddlelite":
        from edgeflow_converters.targets.paddlelite import PaddleLiteConverter

        return PaddleLiteConverter(tools_root)
    if name == "snpe":
        from edgeflow_converters.targets.snpe import SnpeConverter

        return SnpeConverter(tools_root)
    if name == "tflite":
        from edgeflow_converters.targets.tflite import TfliteConverter

        return TfliteConverter(tools_root)
    raise UnknownTarget(f"no converter for runtime {name!r}", hint=f"known: {', '.join(RUNTIMES)}")
