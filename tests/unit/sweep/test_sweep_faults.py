"""Errors as faults: whose, and whether the same may succeed later."""

from __future__ import annotations

import pytest

from edgeflow.agentlink.faults import fault as told
from edgeflow.agentlink.session import ConnectionLost
from edgeflow.devices.transports.base import ChannelClosed, DeviceTimeout
from edgeflow.errors import (
    AgentError,
    ConversionError,
    DeviceError,
    NumericsError,
    ToolMissingError,
    UsageError,
)
from edgeflow.sweep.faults import classify, pause_s


def of_agent(code: str) -> Exception:
    return told({"code": code, "message": "it says so"}, device="d")


@pytest.mark.parametrize(
    ("error", "kind", "retry", "blames_device"),
    [
        (DeviceTimeout("d: no answer"), "transport", True, True),
        (ChannelClosed("d: closed"), "transport", True, True),
        (ConnectionLost("d: gone", by_link=True), "transport", True, True),
        (ConnectionLost("d: its agent ended"), "agent", True, True),
        (of_agent("busy"), "busy", True, True),
        (of_agent("device_full"), "device", False, False),
        (of_agent("no_file"), "device", True, False),
        (of_agent("unsupported_accelerator"), "device", False, False),
        (of_agent("worker_crashed"), "agent", True, False),
        (of_agent("load_failed"), "agent", False, False),
        (of_agent("out_of_memory"), "agent", False, False),
        (of_agent("timeout"), "timeout", True, True),
        (of_agent("internal"), "agent", True, True),
        (of_agent("backend_missing"), "tool", False, False),
        (AgentError("d: broke the protocol", code="bad_frame"), "agent", True, True),
        (NumericsError("disagrees"), "numerics", False, False),
        (ConversionError("truncated"), "model", False, False),
        (ToolMissingError("no compiler"), "tool", False, False),
        (UsageError("no such file"), "host", False, False),
        (RuntimeError("a bug\nof ours"), "host", False, False),
    ],
)
def test_faults(error: Exception, kind: str, retry: bool, blames_device: bool) -> None:
    fault = classify(error)
    assert (fault.kind, fault.retry, fault.blames_device) == (kind, retry, blames_device)
    assert "\n" not in fault.message


def test_an_error_on_the_way_to_the_device_is_the_ways() -> None:
    error = DeviceError("phone: unauthorized", hint="say yes on its screen")
    assert classify(error).kind == "device"
    fault = classify(error, reached=False)
    assert (fault.kind, fault.retry, fault.hint) == ("transport", True, "say yes on its screen")


def test_pauses_double_and_end() -> None:
    lost = classify(DeviceTimeout("d"))
    assert [pause_s(lost, attempt) for attempt in (1, 2, 3, 50)] == [2, 4, 8, 60]
