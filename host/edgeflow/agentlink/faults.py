"""The agent's error codes in edgeflow's terms: one table from wire code to error class and advice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeflow.errors import AgentError, DeviceError, EdgeflowError, ToolMissingError, UsageError

_CLASSES: dict[str, type[EdgeflowError]] = {
    "busy": DeviceError,
    "device_full": DeviceError,
    "no_file": DeviceError,
    "file_corrupt": DeviceError,
    "unsupported_accelerator": DeviceError,
    "unsupported_setting": DeviceError,
    "backend_missing": ToolMissingError,
    "bad_input": UsageError,
}

_HINTS = {
    "busy": "wait for it; edgeflow agent status --device {device} says who it is (a stop needs --force now)",
    "device_full": "free space in the device's work folder",
    "backend_missing": "bring it: edgeflow agent install --device {device} --runtime {runtime}",
    "worker_crashed": "run again with --debug to see what the runtime printed",
    "load_failed": "run again with --debug to see what the runtime printed",
    "run_failed": "run again with --debug to see what the runtime printed",
    "timeout": "give it more time (--budget-s), or fewer threads, or a smaller model",
    "out_of_memory": "use a smaller model, or a lower precision",
}


def fault(error: Mapping[str, Any], *, device: str, runtime: str = "") -> EdgeflowError:
    """The error to raise for an ERROR frame's `error` object; the device is named in its message."""
    code, text = str(error.get("code", "internal")), str(error.get("message", "no message"))
    detail = _detail_text(error.get("detail"))
    message = f"{device}: {text}"
    hint = _HINTS.get(code, "").format(device=device, runtime=runtime)
    known = _CLASSES.get(code)
    if known is None:
        return AgentError(message, code=code, hint=hint, detail=detail)
    told = known(message, hint=hint, detail=detail)
    told.code = code
    return told


def _detail_text(detail: object) -> str:
    if not isinstance(detail, Mapping):
        return ""
    log = detail.get("log", "")
    lines = log if isinstance(log, str) else "\n".join(map(str, log))
    facts = ", ".join(
        f"{name} {value}" for name, value in detail.items() if name != "log" and value is not None
    )
    return "\n".join(part for part in (facts, lines) if part)
