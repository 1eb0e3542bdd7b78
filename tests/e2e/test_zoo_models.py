"""Every zoo model on every runtime here: it agrees, or stops with a diagnosis; never silently wrong."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest

from edgeflow_converters.packages import RUNTIME_PINS

NAMES = (
    "pplcnet-orientation", "ppocr-det", "ppocr-rec", "ppocr-cls", "picodet-layout", "blazeface", "mtcnn-onet",
    "mlsd-tiny", "silero-vad",
)  # fmt: skip

# What must stop instead, and the words its diagnosis must hold.
DECLINED = {("mlsd-tiny", "ncnn", "fp16"): "offsets"}


# Runtimes that are fetched for their first use, each on models that take the rarer ways: several inputs,
# several outputs, 8 bits, ncnn's too. docs/runtimes.md has all of them.
FETCHED = [
    ("mtcnn-onet", "mnn", "fp32"),
    ("silero-vad", "mnn", "fp16"),
    ("silero-vad", "openvino", "fp32"),
    ("pplcnet-orientation", "openvino", "int8"),
    ("pplcnet-orientation", "ncnn", "int8"),
]


@pytest.mark.network
@pytest.mark.parametrize(("name", "runtime", "precision"), FETCHED)
def test_zoo_model_on_a_fetched_runtime(
    edgeflow: Callable[..., Any], name: str, runtime: str, precision: str
) -> None:
    done = edgeflow("deploy", f"zoo:{name}", "-r", runtime, "-p", precision, "--budget-s", "0.3", "--json")
    assert done.code == 0, done.err
    result = done.document
    assert result["numerics"]["verdict"] == "pass"
    assert result["runtime"]["version"] == RUNTIME_PINS.get(runtime, version("ncnn"))
    assert result["prediction"] is None or result["prediction"]["label"] == result["prediction"]["expected"]
    if runtime != "mnn":
        assert result["precision"]["compute"] == ("int8" if precision == "int8" else "fp32")
    if runtime == "openvino":
        assert result["runtime"]["options"]["inference_precision_hint"] == "f32"


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
