"""Quantizes an OpenVINO model by NNCF. Spec: model, out (.xml), and either calibration (.npz) with inputs
(TensorSpec), preset, fast_bias_correction and extremes, or mode: 8-bit weights alone.

openvino_telemetry is not fetched with NNCF, and blocked should it be there: nothing is told to anyone.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from edgeflow_converters.arrays import load_sets
from edgeflow_converters.errors import ConverterFailed
from edgeflow_converters.runners.openvino_convert import last_line
from edgeflow_converters.runners.process import Json, serve
from edgeflow_converters.tensors import TensorSpec


def work(spec: Json) -> Json:
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import nncf
    import openvino

    model = openvino.Core().read_model(spec["model"])
    try:
        if "calibration" in spec:
            inputs = [TensorSpec.from_json(item) for item in spec["inputs"]]
            feeds = [
                {item.runtime_name: item.to_runtime(sample[item.name]) for item in inputs}
                for sample in load_sets(Path(spec["calibration"]))
            ]
            quantized = nncf.quantize(
                model,
                nncf.Dataset(feeds),
                preset=nncf.QuantizationPreset[spec["preset"]],
                fast_bias_correction=spec["fast_bias_correction"],
                subset_size=len(feeds),
                advanced_parameters=_advanced(nncf, spec["extremes"]),
            )
        else:
            quantized = nncf.compress_weights(model, mode=nncf.CompressWeightsMode[spec["mode"]])
    except (RuntimeError, nncf.errors.InternalError, nncf.errors.ValidationError) as error:
        raise ConverterFailed(f"NNCF cannot quantize the model: {last_line(error)}") from error
    openvino.save_model(quantized, spec["out"], compress_to_fp16=False)
    return {}


def _advanced(nncf: Any, extremes: bool) -> Any:
    """With `extremes`, one range for each tensor, which holds every value seen.

    NNCF's own are means over the inputs, and one for each channel before depthwise convolutions: of ten
    photographs, they clip what others hold (efficientnet-lite0: cosine 0.958 on those, against 0.993).
    """
    if not extremes:
        return None
    estimators = nncf.quantization.range_estimator.RangeEstimatorParametersSet
    per_tensor = nncf.quantization.advanced_parameters.QuantizationParameters(per_channel=False)
    return nncf.AdvancedQuantizationParameters(
        activations_range_estimator_params=estimators.MINMAX, activations_quantization_params=per_tensor
    )


if __name__ == "__main__":
    sys.exit(serve(work))
