"""The one exception that becomes an ERROR frame."""

from __future__ import annotations

from typing import Any, Dict, Optional

CODES = frozenset(
    (
        "bad_frame", "bad_request", "unknown_method", "not_attached", "busy", "no_job", "no_file",
        "file_corrupt", "backend_missing", "unsupported_accelerator", "load_failed", "bad_input",
        "run_failed", "worker_crashed", "timeout", "out_of_memory", "cancelled", "device_full",
        "internal", "unsupported_setting",
    )
)  # fmt: skip
"""Every error code of the protocol."""


class Fault(Exception):
    """A failure with a protocol error code; `phase` is the worker's phase, `detail` is JSON-able."""

    def __init__(
        self, code: str, message: str, *, phase: str = "", detail: Optional[Dict[str, Any]] = None
    ) -> None:
        super().__init__(message)
        if code not in CODES:
            raise ValueError("no such error code: " + code)
        self.code = code
        self.message = message
        self.phase = phase
        self.detail = {} if detail is None else detail

    def to_meta(self) -> Dict[str, Any]:
        """The `error` object of an ERROR frame."""
        return {"code": self.code, "message": self.message, "phase": self.phase, "detail": self.detail}

    @classmethod
    def from_meta(cls, error: Any) -> Fault:
        """The fault that an ERROR frame's `error` object describes; `internal` when it describes none."""
        if not isinstance(error, dict) or error.get("code") not in CODES:
            return cls("internal", "an ERROR frame without a known code: %.200r" % (error,))
        detail = error.get("detail")
        return cls(
            error["code"],
            str(error.get("message", "")),
            phase=str(error.get("phase", "")),
            detail=detail if isinstance(detail, dict) else None,
        )
