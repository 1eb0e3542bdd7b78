"""The precision table, and that fp32 of ncnn really is fp32."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edgeflow_converters.errors import NotOffered, UnknownTarget
from edgeflow_converters.precision import OFFERED, PRECISIONS, RUNTIMES, lookup


def test_ncnn_fp32_switches_off_every_reduced_precision_option_that_ncnn_has() -> None:
    import ncnn

    options = ncnn.Option()
    reduced = {name for name in dir(options) if name.startswith(("use_fp16", "use_bf16", "use_int8"))}
    flags = lookup("ncnn", "fp32").runtime_flags
    assert reduced == set(flags)
    assert not any(flags.values())


def test_fp16_says_what_is_stored_and_what_computes() -> None:
    assert lookup("ncnn", "fp16").weights_dtype == "fp16"
    assert "else fp32" in lookup("ncnn", "fp16").compute_dtype
    assert lookup("onnxruntime", "fp16").compute_dtype == "fp32"


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_cell_is_offered_or_says_why_not(runtime: str, precision: str) -> None:
    if (runtime, precision) in OFFERED:
        assert lookup(runtime, precision).weights_dtype
        return
    with pytest.raises(NotOffered) as caught:
        lookup(runtime, precision)
    assert f"{runtime} does not offer {precision}: " in caught.value.message
    assert "fp32" in caught.value.hint


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UnknownTarget) as caught:
        lookup("ncn", "fp32")
    assert "ncnn" in caught.value.hint
    with pytest.raises(UnknownTarget) as caught:
        lookup("ncnn", "half")
    assert "fp16" in caught.value.hint


def test_importing_the_converters_imports_no_heavy_library() -> None:
    code = (
        "import sys, edgeflow_converters, edgeflow_converters.pipeline, edgeflow_converters.check\n"
        "heavy = {'numpy', 'onnx', 'onnxruntime', 'onnxsim', 'ncnn'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_misspelt_runtime_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownTarget, match="unknown runtime 'nccn'; did you mean 'ncnn'"):
        lookup("nccn", "fp32")
