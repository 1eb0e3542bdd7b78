"""Each phase of a conversion is told as it begins, and its time is kept."""

from __future__ import annotations

import pytest

from edgeflow_converters import phases
from edgeflow_converters.phases import VERIFYING, Phases


def test_time_goes_to_the_phase_that_was_on(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0, 100, 130, 180, 250])
    monkeypatch.setattr(phases.time, "monotonic_ns", lambda: next(clock))
    told: list[str] = []
    kept = Phases(told.append)
    kept.begin("inspect")
    kept.begin("prepare")
    kept.move(20, "try")  # a subprocess told that so much of it was trying
    kept.begin("verify")
    kept.begin("prepare")
    found = kept.finished()
    assert told == ["inspect", "prepare", "verify", "prepare"]
    assert found == {"inspect": 100, "prepare": 30 - 20 + 70, "try": 20, "verify": 50}
    assert sum(found.values()) == 250 and {"try", "verify"} <= set(VERIFYING)
