"""What a bench says of its phases, by every agent."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from edgeflow_agent.wire import Tensor

X = Tensor("x", "float32", (2,), struct.pack("<2f", 1.0, 2.0))
PLAN = {
    "warmup_min_runs": 5, "warmup_min_ns": 0, "min_samples": 5, "min_ns": 0, "max_samples": 5,
    "budget_ns": 10**10, "ci_target": None, "sample_period_ms": 100,
}  # fmt: skip


def test_each_phase_of_a_bench_has_its_own_duration(connect: Callable[..., Any]) -> None:
    client = connect()
    result = client.job("bench", [X], plan=PLAN, options={"delay_ns": 20_000_000})
    phases = result["phases_ns"]
    sums = {tensor.name: sum(struct.unpack("<5q", tensor.data)) for tensor in client.tensors()}
    assert list(phases) == sorted(("start", "import", "load", "bind", "first", "warmup", "run"))
    assert phases["warmup"] >= sums["warmup_ns"]
    assert sums["samples_ns"] <= phases["run"] < sums["samples_ns"] + sums["warmup_ns"]
