"""Where builds are kept: by content, written whole, each made by one process while others wait for it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edgeflow.errors import UsageError

if TYPE_CHECKING:
    from edgeflow.progress import Progress
    from edgeflow.workspace import Workspace

VARIABLE = "EDGEFLOW_BUILD_CACHE"

FillFn = Callable[[Path, Path], None]
"""Called with the empty folder of the entry and with a folder for what is needed meanwhile."""


def key_of(*parts: object) -> str:
    """A key that names exactly these values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def build_folder(workspace: Workspace) -> Path:
    """EDGEFLOW_BUILD_CACHE, else `builds` in EDGEFLOW_HOME. May be deleted at any time."""
    configured = os.environ.get(VARIABLE)
    return Path(configured).expanduser().absolute() if configured else workspace.home / "builds"


class BuildStore:
    """Entries by kind and key, as edgeflow_converters.cache has them. Creating it touches nothing."""

    def __init__(self, root: Path) -> None:
        from edgeflow_converters.cache import Cache

        self.root = root
        self._cache = Cache(root)

    def find(self, kind: str, key: str) -> Path | None:
        """The folder of a whole entry, or None. Raises UsageError."""
        with _told():
            return self._cache.find(kind, key)

    def entry(self, kind: str, key: str, fill: FillFn, what: str, progress: Progress) -> Path:
        """The folder of the entry, made by `fill` unless it is there. Raises UsageError, and as `fill`.

        `what` tells others, who wait, what is going on: "fetching pypi:ncnn==1".
        """
        found = self.find(kind, key)
        if found is not None:
            return found
        with _told(), self._alone(kind, key, what, progress):
            # Another process may have made it while we waited.
            found = self._cache.find(kind, key)
            if found is not None:
                return found
            with self._cache.workspace() as scratch:
                return self._cache.build(kind, key, lambda folder: fill(folder, scratch))

    @contextmanager
    def _alone(self, kind: str, key: str, what: str, progress: Progress) -> Iterator[None]:
        """Holds the entry among processes, by a lock that is let go of however the process ends."""
        path = self.root / "locks" / f"{kind}-{key[:16]}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UsageError(
                f"{path}: {error.strerror or error}", hint=f"set {VARIABLE} to a folder that you can write to"
            ) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                progress.step(f"wait for another edgeflow, which is {what}")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


@contextmanager
def _told() -> Iterator[None]:
    from edgeflow_converters.errors import CacheUnwritable

    try:
        yield
    except CacheUnwritable as error:
        raise UsageError(error.message, hint=error.hint) from error
