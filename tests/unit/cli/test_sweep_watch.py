"""The log of a sweep: what a person reads where there is no terminal."""

from __future__ import annotations

import pytest

from edgeflow.cli.sweep_watch import Lines


def test_a_long_conversion_tells_its_phases_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    now = 100.0
    log = Lines(quiet=False, clock=lambda: now)
    what = {"event": "progress", "model": "big", "runtime": "mnn", "precision": "int8"}
    for second, phase in ((0, "inspect"), (1, "prepare"), (20, "quantize (EMA)"), (25, "verify"), (50, "")):
        now = 100.0 + second
        log.tell({**what, "step": f"convert big to mnn int8: {phase}"})
    log.tell({**what, "done": 1, "total": 2})
    assert capsys.readouterr().err.splitlines() == [
        "  converting big to mnn int8",
        "  converting big to mnn int8: quantize (EMA)",
    ]


def test_a_quiet_log_tells_no_phase(capsys: pytest.CaptureFixture[str]) -> None:
    log = Lines(quiet=True, clock=lambda: 0.0)
    log.tell({"event": "progress", "model": "m", "runtime": "ncnn", "precision": "fp32", "step": "x: pnnx"})
    assert capsys.readouterr().err == ""
