"""The one table of runtime x precision: what the weights are, what computes, which flags say so."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edgeflow_converters.errors import NotOffered, UnknownTarget

PRECISIONS = ("fp32", "fp16", "int8", "int8-dynamic")


@dataclass(frozen=True, slots=True)
class Precision:
    """One cell of the table. `runtime_flags` use the runtime's own option names."""

    weights_dtype: str
    compute_dtype: str
    runtime_flags: Mapping[str, bool | int | str]


def _flags(**values: bool | int | str) -> Mapping[str, bool | int | str]:
    return MappingProxyType(values)


# ncnn switches fp16 packing, storage and arithmetic on by default, so a plain ncnn run on an ARM phone is
# not fp32. Source: src/option.h of ncnn 1.0.20261020. The int8 options act on int8 layers only; off, a
# quantised layer that slipped in cannot run unnoticed.
_NCNN_INT8_OFF = {
    "use_int8_inference": False,
    "use_int8_packed": False,
    "use_int8_storage": False,
    "use_int8_arithmetic": False,
}
_NCNN_HALF_OFF = {
    "use_fp16_packed": False,
    "use_fp16_storage": False,
    "use_fp16_arithmetic": False,
    "use_bf16_packed": False,
    "use_bf16_storage": False,
}
_NCNN_FP32 = _flags(**_NCNN_HALF_OFF, **_NCNN_INT8_OFF)
# Between int8 layers, and in those that stay floating, ncnn computes in fp32.
_NCNN_INT8 = _flags(**_NCNN_HALF_OFF, **dict.fromkeys(_NCNN_INT8_OFF, True))
_NCNN_FP16 = _flags(
    use_fp16_packed=True,
    use_fp16_storage=True,
    use_fp16_arithmetic=True,
    use_bf16_packed=False,
    use_bf16_storage=False,
    **_NCNN_INT8_OFF,
)
# XNNPACK computes float32 in float32, and 8 bits in 8 bits; off, LiteRT's own kernels do.
_TFLITE = _flags(xnnpack=True)
_ORT = _flags(graph_optimization_level="all")
# MNN: precision low computes in fp16 on ARMv8.2. Memory low would quantize each layer's input as it comes if
# MNN were built for it, which its wheels are not: "normal" widens 8-bit weights on every device.
_MNN_FP32 = _flags(precision="high", memory="normal", power="normal")
_MNN_FP16 = _flags(precision="low", memory="normal", power="normal")
# OpenVINO takes the fastest arithmetic of the CPU (bf16, fp16) unless told otherwise. Told f16, which some
# x86 CPUs compute in too, it agreed on one of the zoo's nine models.
_OPENVINO_FP32 = _flags(inference_precision_hint="f32", performance_hint="LATENCY")

# Paddle Lite is told nothing but which cores it may use, and that is the device's affair.
_LITE = _flags()

OFFERED: Mapping[tuple[str, str], Precision] = MappingProxyType(
    {
        ("ncnn", "fp32"): Precision("fp32", "fp32", _NCNN_FP32),
        # A CPU with half-precision arithmetic (ARMv8.2 asimdhp) computes in fp16; any other widens to fp32.
        ("ncnn", "fp16"): Precision("fp16", "fp16 where the CPU has it, else fp32", _NCNN_FP16),
        ("ncnn", "int8"): Precision("int8", "int8", _NCNN_INT8),
        ("onnxruntime", "fp32"): Precision("fp32", "fp32", _ORT),
        # The CPU provider has next to no fp16 kernels: weights are stored as fp16 and widened once, at load.
        ("onnxruntime", "fp16"): Precision("fp16", "fp32", _ORT),
        ("onnxruntime", "int8"): Precision("int8", "int8", _ORT),
        ("onnxruntime", "int8-dynamic"): Precision("int8", "int8, activations quantized as they come", _ORT),
        ("mnn", "fp32"): Precision("fp32", "fp32", _MNN_FP32),
        ("mnn", "fp16"): Precision("fp16", "fp16 where the CPU has it, else fp32", _MNN_FP16),
        ("mnn", "int8"): Precision("int8", "int8", _MNN_FP32),
        ("openvino", "fp32"): Precision("fp32", "fp32", _OPENVINO_FP32),
        ("openvino", "fp16"): Precision("fp16", "fp32", _OPENVINO_FP32),
        ("openvino", "int8"): Precision("int8", "int8", _OPENVINO_FP32),
        ("openvino", "int8-dynamic"): Precision("int8", "fp32", _OPENVINO_FP32),
        ("mnn", "int8-dynamic"): Precision("int8", "fp32", _MNN_FP32),
        ("paddlelite", "fp32"): Precision("fp32", "fp32", _LITE),
        # opt stores the weights as int8, Paddle Lite widens them when it loads them.
        ("paddlelite", "int8-dynamic"): Precision("int8", "fp32", _LITE),
        ("tflite", "fp32"): Precision("fp32", "fp32", _TFLITE),
        # LiteRT widens half-precision weights once, when it loads the model.
        ("tflite", "fp16"): Precision("fp16", "fp32", _TFLITE),
        ("tflite", "int8"): Precision("int8", "int8", _TFLITE),
        # Weights are stored as int8; what meets them is quantized while it runs, by the range that it has.
        ("tflite", "int8-dynamic"): Precision("int8", "int8", _TFLITE),
        # What is computed depends on where: SNPE's CPU has fp32, the GPU fp16, the HTP fp16 and integers.
        ("snpe", "fp32"): Precision("fp32", "fp32, fp16 where a processor has no more", _flags()),
        ("snpe", "fp16"): Precision("fp16", "fp16", _flags()),
        ("snpe", "int8"): Precision("int8", "int8", _flags()),
    }
)

_NOT_OFFERED: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("ncnn", "int8-dynamic"): "ncnn quantises weights and activations together, never weights alone",
        (
            "paddlelite",
            "fp16",
        ): "its fp16 kernels are for ARMv8.2 alone, so no such product could be executed and judged here",
        (
            "paddlelite",
            "int8",
        ): "its quantizer is part of PaddlePaddle 2.6, and its int8 kernels for x86 judge no ARM product",
        ("snpe", "int8-dynamic"): "SNPE quantizes weights and activations together, never weights alone",
    }
)

RUNTIMES = tuple(sorted({runtime for runtime, _ in OFFERED}))


def lookup(runtime: str, precision: str) -> Precision:
    """The table's cell for `runtime` and `precision`.

    Raises UnknownTarget for a name that is in no list, NotOffered with the reason for one that is known
    but cannot be had.
    """
    if runtime not in RUNTIMES:
        near = difflib.get_close_matches(runtime.casefold(), RUNTIMES, n=1)
        guess = f"; did you mean '{near[0]}'?" if near else ""
        raise UnknownTarget(
            f"unknown runtime {runtime!r}{guess}",
            hint=f"known runtimes: {', '.join(RUNTIMES)}",
        )
    if precision not in PRECISIONS:
        raise UnknownTarget(
            f"unknown precision {precision!r}", hint=f"known precisions: {', '.join(PRECISIONS)}"
        )
    cell = OFFERED.get((runtime, precision))
    if cell is None:
        offered = [name for name in PRECISIONS if (runtime, name) in OFFERED]
        raise NotOffered(
            f"{runtime} does not offer {precision}: {_NOT_OFFERED[runtime, precision]}",
            hint=f"{runtime} offers: {', '.join(offered)}",
        )
    return cell
