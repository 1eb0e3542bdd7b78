"""The pinned environments of converters: NAME.lock, a requirements file with the hash of every package.

Its first line tells, as JSON after `# edgeflow:`, which Pythons it is for (the best first), how much disk it
takes, which runtimes need it (none: it is for a source), and what it does. It may also tell `package`, whose
version is the tool's (default: NAME), `package_index`, another index where that one is looked for too, and
`complete`: that what packages demand beyond the lock is not needed, and not to be brought. The rest is what
pip and uv read.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_HEADER = "# edgeflow:"


@dataclass(frozen=True, slots=True)
class Lock:
    """One lock file. `digest` names exactly its content."""

    name: str
    version: str  # of the package at its heart
    path: Path
    digest: str
    python: tuple[str, ...]
    disk_mb: int
    runtimes: tuple[str, ...]
    what: str
    package: str = ""
    package_index: str | None = None
    complete: bool = False


def load_locks(folder: Path | None = None) -> Mapping[str, Lock]:
    """Every lock by name. Raises ValueError for one that does not say what it is for, or pins nothing."""
    paths = sorted((folder or Path(__file__).parent).glob("*.lock"))
    return {path.stem: read_lock(path) for path in paths}


def parts_of(lock: Lock) -> list[tuple[str, str | None]]:
    """The lock as requirements to install one after another, each with the further index to look in."""
    text = lock.path.read_text(encoding="utf-8")
    if lock.package_index is None:
        return [(text, None)]
    own = re.search(rf"^{re.escape(lock.package)}==(?:.*\\\n)*.*\n", text, re.MULTILINE)
    assert own is not None  # read_lock saw its pin
    return [(text[: own.start()] + text[own.end() :], None), (own[0], lock.package_index)]


def read_lock(path: Path) -> Lock:
    """The lock in `path`. Raises ValueError as load_locks does."""
    text = path.read_text(encoding="utf-8")
    first = text.split("\n", 1)[0]
    if not first.startswith(_HEADER):
        raise ValueError(f"{path}: its first line does not begin with {_HEADER!r}")
    told = json.loads(first.removeprefix(_HEADER))
    package = told.get("package", path.stem)
    pinned = re.search(rf"^{re.escape(package)}==(\S+)", text, re.MULTILINE)
    if pinned is None:
        raise ValueError(f"{path}: does not pin {package}")
    return Lock(
        name=path.stem,
        version=pinned[1],
        path=path,
        digest=hashlib.sha256(text.encode()).hexdigest()[:12],
        python=tuple(told["python"]),
        disk_mb=told["disk_mb"],
        runtimes=tuple(told["runtimes"]),
        what=told["what"],
        package=package,
        package_index=told.get("package_index"),
        complete=told.get("complete", False),
    )
