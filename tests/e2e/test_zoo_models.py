"""Every zoo model on every runtime here: it agrees, or stops with a diagnosis; never silently wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

NAMES = (
    "pplcnet-orientation", "ppocr-det", "ppocr-rec", "ppocr-cls", "picodet-layout", "blazeface", "mtcnn-onet",
    "mlsd-tiny", "silero-vad",
)  # fmt: skip

# What must stop instead, and the words its diagnosis must hold.
DECLINED = {("mlsd-tiny", "ncnn", "fp16"): "offsets"}


@pytest.mark.network
@pytest.mark.parametrize(
    ("runtime", "precision"), [("onnxruntime", "fp32"), ("ncnn", "fp32"), ("ncnn", "fp16")]
)
@pytest.mark.parametrize("name", NAMES)
def test_zoo_model(edgeflow: Callable[..., Any], name: str, runtime: str, precision: str) -> None:
    done = edgeflow("deploy", f"zoo:{name}", "-r", runtime, "-p", precision, "--budget-s", "0.3", "--json")
    diagnosis = DECLINED.get((name, runtime, precision))
    if diagnosis is not None:
        assert done.code in (4, 5), done.err
        assert diagnosis in done.error_line
        return
    assert done.code == 0, done.err
    result = done.document
    assert result["numerics"]["verdict"] == "pass"
    if result["prediction"] is not None:
        assert result["prediction"]["label"] == result["prediction"]["expected"]
