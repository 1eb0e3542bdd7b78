"""What a sweep tells while it goes on: plain records, for a live table, for lines, for a file."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from edgeflow.errors import UsageError

Event = dict[str, Any]
"""`event` names its kind (docs/sweeps.md lists them with their keys); `at` is the time, RFC 3339, UTC."""


class Listener(Protocol):
    """Whoever watches a sweep. Called by several threads, one at a time."""

    def tell(self, event: Event) -> None:
        """Something happened."""


class Teller:
    """Gives each event its time and passes it to every listener, one event at a time."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = tuple(listeners)
        self._lock = threading.Lock()

    def tell(self, name: str, **values: Any) -> None:
        event = {"event": name, "at": datetime.now(UTC).isoformat(timespec="milliseconds"), **values}
        with self._lock:
            for listener in self._listeners:
                listener.tell(event)


class EventFile:
    """Newline-delimited JSON, a line an event, appended and flushed as it happens. A context manager."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError when the file cannot be written."""
        try:
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--events {path}: {error.strerror or error}") from error
        self._path = path
        self._broken = False

    def tell(self, event: Event) -> None:
        if event["event"] == "progress" or self._broken:
            return  # ten a second and device: for tables only
        try:
            self._file.write(json.dumps(event, ensure_ascii=False, allow_nan=False) + "\n")
            self._file.flush()
        except OSError:
            self._broken = True  # a full disk must not cost a measurement; `check` tells it at the end

    def check(self) -> None:
        """Raises UsageError when events are missing in the file."""
        if self._broken:
            raise UsageError(
                f"--events {self._path}: could not be written to the end", hint="free some space"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except OSError:
            self._broken = True
