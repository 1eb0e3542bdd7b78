"""How long each phase of a conversion took."""

from __future__ import annotations

import time

from edgeflow_converters.base import ProgressFn

VERIFYING = ("reference", "try", "verify")
"""The phases that make nothing: they find out whether what was made is right."""


class Phases:
    """Told of each phase as it begins, it passes that on and keeps the time; one may come more than once."""

    def __init__(self, progress: ProgressFn) -> None:
        self._progress = progress
        self._ns: dict[str, int] = {}
        self._name = ""
        self._began_ns = 0

    def begin(self, name: str) -> None:
        """The phase before, if any, ends here."""
        self._end()
        self._progress(name)
        self._name = name

    def move(self, ns: int, name: str) -> None:
        """Count `ns` of the phase that is on as phase `name`: what a subprocess told of itself."""
        self._ns[name] = self._ns.get(name, 0) + ns
        self._ns[self._name] = self._ns.get(self._name, 0) - ns

    def finished(self) -> dict[str, int]:
        """Nanoseconds of each phase by name; the one that was on ends here."""
        self._end()
        self._name = ""
        return dict(self._ns)

    def _end(self) -> None:
        now_ns = time.monotonic_ns()
        if self._name:
            self._ns[self._name] = self._ns.get(self._name, 0) + now_ns - self._began_ns
        self._began_ns = now_ns
