"""Every error code of the agent becomes an error with a documented exit code that names the device."""

from __future__ import annotations

import pytest

from edgeflow.agentlink.faults import fault
from edgeflow_agent.faults import CODES

EXIT_CODES = {
    "busy": 3,
    "device_full": 3,
    "no_file": 3,
    "file_corrupt": 3,
    "unsupported_accelerator": 3,
    "unsupported_setting": 3,
    "bad_input": 2,
    "backend_missing": 6,
}


@pytest.mark.parametrize("code", sorted(CODES))
def test_each_code(code: str) -> None:
    error = fault({"code": code, "message": "what happened"}, device="pixel7", runtime="ncnn")
    assert error.exit_code == EXIT_CODES.get(code, 7)
    assert error.message == "pixel7: what happened"


def test_the_log_of_a_crash_is_the_detail() -> None:
    error = fault(
        {
            "code": "worker_crashed",
            "message": "killed by SIGSEGV while loading",
            "detail": {"signal": 11, "exit_code": None, "phase": "load", "log": ["layer Foo not exists"]},
        },
        device="local",
    )
    assert "signal 11" in error.detail
    assert "layer Foo not exists" in error.detail
    assert "--debug" in error.hint


def test_an_error_without_a_shape_is_still_an_error() -> None:
    assert fault({}, device="local").message == "local: no message"
