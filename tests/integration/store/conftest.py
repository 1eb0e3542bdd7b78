"""A result document as `deploy` makes it, for the store's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

MakeDocument = Callable[..., dict[str, Any]]


@pytest.fixture
def make_document() -> MakeDocument:
    def make(result_id: str, **changes: Any) -> dict[str, Any]:
        return {
            "schema": "edgeflow.result/1",
            "result_id": result_id,
            "status": "ok",
            "started_at": "2026-11-22T10:00:00.000+00:00",
            "device": {"name": "local", "transport": "local", "facts": {"emulated": False, "os": "linux"}},
            "runtime": {"name": "ncnn", "version": "1.0", "accelerator": "cpu", "options": {}},
            "precision": {"name": "fp32", "weights": "fp32", "compute": "fp32"},
            "threads": 2,
            "model": {"name": "größe, the model", "sha256": "ab", "size_bytes": 7},
            "latency_ms": {"median": 3.25, "p99": 4.5, "ci95": [3.2, 3.3], "n": 3},
            "energy": {"available": False, "mj_per_inference": None},
            "conditions": {"temperature_c": {"start": None}, "throttled": False},
            "validity": {"state": "suspect", "reasons": ["only 3 samples", "other load 60 %"]},
        } | changes

    return make
