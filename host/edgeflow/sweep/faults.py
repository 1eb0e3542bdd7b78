"""What went wrong with a job, whose fault it is, and whether trying again can help. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from edgeflow.agentlink.reattach import LINK_LOST
from edgeflow.agentlink.session import ConnectionLost
from edgeflow.devices.transports.base import ChannelClosed, DeviceTimeout
from edgeflow.errors import (
    AgentError,
    ConversionError,
    DeviceError,
    EdgeflowError,
    NumericsError,
    ToolMissingError,
)

Kind = Literal["busy", "transport", "device", "model", "agent", "timeout", "numerics", "tool", "host"]

BUSY = "busy"
_AGENT_IS_GONE = ("internal", "bad_frame", "no_job", "not_attached", "bad_request")
"""Codes of an agent that is not what it was: a new one may do better."""
_RETRIED_CODES = ("worker_crashed", "timeout")
"""What may be chance: a device out of memory for a moment, a load from elsewhere."""
_RETRIED_FILES = ("no_file", "file_corrupt")
"""Somebody cleared the work folder since we pushed: the next attempt pushes again."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 60.0
FIRST_BUSY_PAUSE_S, LONGEST_BUSY_PAUSE_S = 1.0, 15.0


@dataclass(frozen=True, slots=True)
class Fault:
    """A classified error. `retry`: the same may succeed later. `blames_device`: jobs of other models would
    meet it too.
    """

    kind: Kind
    message: str
    hint: str = ""
    retry: bool = False
    blames_device: bool = False

    def to_json(self) -> dict[str, Any]:
        """The `error` of a job in the sweep's document."""
        return {"kind": self.kind, "message": self.message, "hint": self.hint}


class FaultTold(Exception):
    """An error that was classified where it happened, on another host."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def classify(error: Exception, *, reached: bool = True) -> Fault:
    """The fault that an error of one job is. `reached`: the device answered, so that an error of its own is
    not one of the way to it.

    An exception that is none of ours is told as `host` with its type: a bug of edgeflow fails one job, not
    the sweep.
    """
    if isinstance(error, FaultTold):
        return error.fault
    if not isinstance(error, EdgeflowError):
        words = " ".join(str(error).split()) or "no message"
        return Fault("host", f"{type(error).__name__}: {words}", "report this, with --debug")
    message, hint = error.message, error.hint
    if error.code == BUSY:
        return Fault("busy", message, hint, retry=True, blames_device=True)
    if isinstance(error, DeviceError):
        lost = isinstance(error, DeviceTimeout | ChannelClosed) or error.code == LINK_LOST
        if lost or not reached:
            return Fault("transport", message, hint, retry=True, blames_device=True)
        return Fault("device", message, hint, retry=error.code in _RETRIED_FILES)
    if isinstance(error, AgentError):
        if isinstance(error, ConnectionLost) and error.by_link:
            return Fault("transport", message, hint, retry=True, blames_device=True)
        gone = isinstance(error, ConnectionLost) or error.code in _AGENT_IS_GONE
        kind: Kind = "timeout" if error.code == "timeout" else "agent"
        retry = gone or error.code in _RETRIED_CODES
        return Fault(kind, message, hint, retry=retry, blames_device=gone or error.code == "timeout")
    if isinstance(error, NumericsError):
        return Fault("numerics", message, hint)
    if isinstance(error, ConversionError):
        return Fault("model", message, hint)
    if isinstance(error, ToolMissingError):
        return Fault("tool", message, hint)
    return Fault("host", message, hint)


def pause_s(fault: Fault, attempt: int) -> float:
    """How long to wait before the next attempt: twice as long each time. `attempt` counts from 1."""
    first, longest = (
        (FIRST_BUSY_PAUSE_S, LONGEST_BUSY_PAUSE_S) if fault.kind == BUSY else (FIRST_PAUSE_S, LONGEST_PAUSE_S)
    )
    return min(longest, first * 2.0 ** min(attempt - 1, 16))
