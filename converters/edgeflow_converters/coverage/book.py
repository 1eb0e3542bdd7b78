"""What became of the cases that were asked already: a line of JSON for each, added as it is known.

    {"suite", "case", "runtime", "precision", "bare", "key", "state", "why", "kind", "rel_err_max", "seconds"}

The key is the hash of all that an outcome rests on. A line with another key is of another version, and counts
for nothing; so does a last line that was cut off.
"""

from __future__ import annotations

import json
import threading
from functools import cache
from importlib.metadata import version
from pathlib import Path

import edgeflow_converters
from edgeflow_converters import digest
from edgeflow_converters.cache import unwritable
from edgeflow_converters.coverage.case import Ask, Case, Outcome
from edgeflow_converters.coverage.judge import LIMITS
from edgeflow_converters.targets import get_target

_TOOLS = ("onnx", "onnxsim", "onnxruntime")


class Book:
    """The outcomes of one suite in one file. Safe for several threads."""

    def __init__(self, path: Path, suite: str, tools_root: Path) -> None:
        self._path = path
        self._suite = suite
        self._tools_root = tools_root
        self._versions: dict[str, str] = {}
        self._lock = threading.Lock()
        self._known: dict[str, Outcome] = {}
        for line in path.read_text().splitlines() if path.is_file() else []:
            try:
                told = json.loads(line)
                self._known[told["key"]] = Outcome.from_json(told)
            except (ValueError, KeyError):
                continue

    def find(self, case: Case, ask: Ask) -> Outcome | None:
        """What became of it, if it was asked with these versions of everything."""
        return self._known.get(self._key(case, ask))

    def add(self, case: Case, ask: Ask, outcome: Outcome) -> None:
        """Keeps an outcome. Raises CacheUnwritable."""
        key = self._key(case, ask)
        line = {
            "suite": self._suite,
            "case": case.name,
            "runtime": ask.runtime,
            "precision": ask.precision,
            "bare": ask.bare,
            "key": key,
            **outcome.to_json(),
        }
        with self._lock:
            self._known[key] = outcome
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("a") as book:
                    book.write(json.dumps(line) + "\n")
            except OSError as error:
                raise unwritable(self._path.parent, error) from error

    def versions(self, runtime: str) -> dict[str, str]:
        """The tools that outcomes of `runtime` rest on."""
        tools = {name: version(name) for name in _TOOLS}
        return {**tools, **get_target(runtime, self._tools_root).versions()}

    def _key(self, case: Case, ask: Ask) -> str:
        return digest.of_json(
            {
                "case": case.digest,
                "ask": [ask.runtime, ask.precision, ask.bare],
                "versions": self._shared(ask.runtime),
                "own": None if ask.bare else _own_code(),
                "limit": LIMITS[ask.precision],
            }
        )

    def _shared(self, runtime: str) -> str:
        """The part of the key that all cases of a runtime have in common."""
        with self._lock:
            if runtime not in self._versions:
                self._versions[runtime] = digest.of_json(self.versions(runtime))
            return self._versions[runtime]


@cache
def _own_code() -> str:
    """The hash of this package: whatever changes in it may change an outcome."""
    folder = Path(edgeflow_converters.__file__).parent
    files = sorted(path for path in folder.rglob("*.py"))
    return digest.of_json({str(path.relative_to(folder)): digest.of_file(path) for path in files})
