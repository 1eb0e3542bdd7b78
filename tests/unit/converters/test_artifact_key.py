"""What makes two artifacts one in the cache, and what does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgeflow_converters import pipeline
from edgeflow_converters.base import ConvertRequest
from edgeflow_converters.check import tolerance_for
from edgeflow_converters.pipeline import artifact_key


def sets(value: float) -> list[dict[str, Any]]:
    return [{"x": np.full((1, 2), value, "f4")}]


REQUEST = ConvertRequest(
    Path("m.onnx"), "onnxruntime", "int8", {}, sets(1.0), options={"a": 1, "b": 2}, calibration=sets(2.0)
)


def key(
    request: ConvertRequest = REQUEST,
    *,
    sha256: str = "0" * 64,
    shapes: dict[str, tuple[int, ...]] | None = None,
    tools: dict[str, str] | None = None,
    rewrites: tuple[str, ...] = ("a", "b"),
    loosen: float = 0.0,
) -> str:
    info: Any = SimpleNamespace(sha256=sha256)
    versions = {"tool": "1"} if tools is None else tools
    target: Any = SimpleNamespace(versions=lambda: versions, rewrites=rewrites)
    tolerance = tolerance_for(request.precision)
    tolerance = replace(tolerance, rel_err_max=tolerance.rel_err_max + loosen)
    return artifact_key(request, info, shapes or {"x": (1, 2)}, target, tolerance)


def test_the_same_request_has_the_same_key_whatever_is_said_first() -> None:
    assert key() == key(replace(REQUEST, options={"b": 2, "a": 1}, samples=sets(1.0)))
    assert key() == key(replace(REQUEST, source=Path("elsewhere/renamed.onnx"), timeout_s=1.0))
    assert len(key()) == 64


CHANGES: dict[str, Any] = {
    "another model": lambda: key(sha256="1" * 64),
    "another shape": lambda: key(shapes={"x": (2, 2)}),
    "another tool version": lambda: key(tools={"tool": "2"}),
    "another rewrite": lambda: key(rewrites=("a", "c")),
    "another tolerance": lambda: key(loosen=0.1),
    "another runtime": lambda: key(replace(REQUEST, runtime="openvino")),
    "another precision": lambda: key(replace(REQUEST, precision="int8-dynamic")),
    "another option": lambda: key(replace(REQUEST, options={"a": 1, "b": 3})),
    "other samples": lambda: key(replace(REQUEST, samples=sets(1.5))),
    "more samples": lambda: key(replace(REQUEST, samples=sets(1.0) * 2)),
    "other calibration inputs": lambda: key(replace(REQUEST, calibration=sets(2.5))),
    "top-1 asked for": lambda: key(replace(REQUEST, top1_outputs=("y",))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_makes_another_product_makes_another_key(change: str) -> None:
    assert CHANGES[change]() != key()


def test_no_two_of_these_share_a_key() -> None:
    assert len({change() for change in CHANGES.values()}) == len(CHANGES)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8-dynamic"])
def test_calibration_inputs_matter_to_int8_alone(precision: str) -> None:
    request = replace(REQUEST, precision=precision)
    assert (
        key(request) == key(replace(request, calibration=sets(9.0))) == key(replace(request, calibration=()))
    )


def test_a_new_converter_makes_every_artifact_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key()
    monkeypatch.setattr(pipeline, "CONVERTER_VERSION", "next")
    assert key() != before
