"""What a user asks of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """What a user asks: a plan file, flags in place of its keys, or an earlier sweep to go on with.

    `flags` are keys of the plan with their values. `retry_failed`: failed jobs are run again, not only those
    that are missing. `executor`: "threads" or "dask://HOST:PORT"; None: as the plan says, or said.
    """

    plan: Path | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)
    resume: str | None = None
    retry_failed: bool = False
    events: Path | None = None
    executor: str | None = None
