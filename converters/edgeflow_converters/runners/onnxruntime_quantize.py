"""Quantizes an ONNX model by ONNX Runtime. Spec: source, out, method: minmax, percentile or entropy with
calibration (.npz), or dynamic.

Static models are QDQ: QuantizeLinear and DequantizeLinear around the float operators, which ONNX Runtime
fuses into integer kernels. Weights have one scale a channel.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgeflow_converters.arrays import load_sets
from edgeflow_converters.errors import ConverterFailed
from edgeflow_converters.runners.process import Json, serve

_METHODS = {"minmax": "MinMax", "percentile": "Percentile", "entropy": "Entropy"}


def work(spec: Json) -> Json:
    from onnxruntime import quantization

    try:
        if spec["method"] == "dynamic":
            quantization.quantize_dynamic(
                spec["source"],
                spec["out"],
                per_channel=True,
                weight_type=quantization.QuantType.QUInt8,  # of ConvInteger's kernels, only u8 x u8 is there
            )
        else:
            quantization.quantize_static(
                spec["source"],
                spec["out"],
                _reader(Path(spec["calibration"])),
                per_channel=True,
                reduce_range=False,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                calibrate_method=quantization.CalibrationMethod[_METHODS[spec["method"]]],
            )
    except Exception as error:
        line = " ".join(str(error).split())[:300]
        raise ConverterFailed(f"ONNX Runtime cannot quantize the model: {line}") from error
    return {}


def _reader(path: Path) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._sets: Iterator[dict[str, Any]] = iter(load_sets(path))

        def get_next(self) -> dict[str, Any] | None:
            return next(self._sets, None)

    return Reader()


if __name__ == "__main__":
    sys.exit(serve(work))
