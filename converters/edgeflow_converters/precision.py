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
_NCNN_FP32 = _flags(
    use_fp16_packed=False,
    use_fp16_storage=False,
    use_fp16_arithmetic=False,
    use_bf16_packed=False,
    use_bf16_storage=False,
    **_NCNN_INT8_OFF,
)
_NCNN_FP16 = _flags(
    use_fp16_packed=True,
    use_fp16_storage=True,
    use_fp16_arithmetic=True,
    use_bf16_packed=False,
    use_bf16_storage=False,
    **_NCNN_INT8_OFF,
)
_ORT = _flags(graph_optimization_level="all")

OFFERED: Mapping[tuple[str, str], Precision] = MappingProxyType(
    {
        ("ncnn", "fp32"): Precision("fp32", "fp32", _NCNN_FP32),
        # A CPU with half-precision arithmetic (ARMv8.2 asimdhp) computes in fp16; any other widens to fp32.
        ("ncnn", "fp16"): Precision("fp16", "fp16 where the CPU has it, else fp32", _NCNN_FP16),
        ("onnxruntime", "fp32"): Precision("fp32", "fp32", _ORT),
        # The CPU provider has next to no fp16 kernels: weights are stored as fp16 and widened once, at load.
        ("onnxruntime", "fp16"): Precision("fp16", "fp32", _ORT),
    }
)

_NOT_OFFERED: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("ncnn", "int8"): "the ncnn package has no quantiser, and edgeflow has no int8 writer for ncnn yet",
        ("ncnn", "int8-dynamic"): "ncnn quantises weights and activations together, never weights alone",
        ("onnxruntime", "int8"): "static quantisation needs calibration, which this version does not do",
        ("onnxruntime", "int8-dynamic"): "weight quantisation for ONNX Runtime is not in this version",
    }
)

_NOT_IN_THIS_VERSION = ("mnn", "openvino", "paddlelite", "snpe", "tflite")

RUNTIMES = tuple(sorted({runtime for runtime, _ in OFFERED}))


def lookup(runtime: str, precision: str) -> Precision:
    """The table's cell for `runtime` and `precision`.

    Raises UnknownTarget for a name that is in no list, NotOffered with the reason for one that is known
    but cannot be had.
    """
    if runtime in _NOT_IN_THIS_VERSION:
        raise NotOffered(
            f"runtime {runtime} is not available in this version of edgeflow",
            hint=f"use one of: {', '.join(RUNTIMES)}",
        )
    if runtime not in RUNTIMES:
        known = sorted((*RUNTIMES, *_NOT_IN_THIS_VERSION))
        near = difflib.get_close_matches(runtime.casefold(), known, n=1)
        guess = f"; did you mean '{near[0]}'?" if near else ""
        raise UnknownTarget(
            f"unknown runtime {runtime!r}{guess}",
            hint=f"known runtimes: {', '.join(known)}",
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
