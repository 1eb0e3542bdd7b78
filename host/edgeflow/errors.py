"""The error tree. Each class is one documented exit code; each message is one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class EdgeflowError(Exception):
    """Base of every error a user may see.

    `message` says what failed and on which device or file; `hint` says what to do next; `detail` holds
    the words of a tool or a traceback of the device, shown with --debug. `code` is the wire protocol's error
    code (agent/PROTOCOL.md) where an agent told it, else empty.
    """

    exit_code: ClassVar[int] = 1
    code: str = ""

    def __init__(self, message: str, *, hint: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail


class UsageError(EdgeflowError):
    """A missing file, an unknown name, a bad key, an unwritable folder."""

    exit_code = 2


class DeviceError(EdgeflowError):
    """A device cannot be reached, is full, or does not match what it is asked to run."""

    exit_code = 3


class ConversionError(EdgeflowError):
    """A model is truncated, is not a model, or cannot be converted."""

    exit_code = 4


class NumericsError(EdgeflowError):
    """Outputs disagree with the reference."""

    exit_code = 5
    explanation: Mapping[str, Any] | None = None
    """Which node is to blame, where that was asked for (schema edgeflow.explanation/1)."""


class ToolMissingError(EdgeflowError):
    """A tool or SDK is not installed."""

    exit_code = 6


class AgentError(EdgeflowError):
    """The runtime or the agent crashed, broke the protocol, or ran out of time."""

    exit_code = 7

    def __init__(self, message: str, *, code: str = "internal", hint: str = "", detail: str = "") -> None:
        super().__init__(message, hint=hint, detail=detail)
        self.code = code
