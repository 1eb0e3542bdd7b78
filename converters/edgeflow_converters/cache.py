"""Content-addressed folders, written whole or not at all, checked on every hit.

    ROOT/<kind>/<key[:2]>/<key>/      the files of one entry, and entry.json with the SHA-256 of each
    ROOT/tmp/                         entries being built; renamed into place when complete
    ROOT/locks/                       empty files; whoever works long on an entry holds one

Two processes may build one entry at the same time: the first rename wins and the other's copy is dropped.
Where that would be a waste, alone() lets one of them wait. An entry whose files do not match entry.json is
set aside and built again. A folder in tmp is locked by its process: what a killed one left is removed by the
next. Anything may be deleted at any time while nothing uses it.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from edgeflow_converters import digest, holding
from edgeflow_converters.errors import CacheUnwritable

_MANIFEST = "entry.json"
_FRESH_S = 10.0
"""A folder younger than this may not have been locked yet."""
_STALE_AFTER_S = 24 * 3600.0
"""Where locks do not work, age tells what was left behind."""
_LOCK_DIGITS = 4
"""Of a key: no more than 65536 lock files, and two entries hardly ever share one."""
_UNWRITABLE = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EEXIST,
    errno.EFBIG, errno.EIO,
}  # fmt: skip


NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL_BELOW_BYTES = 1 << 20
"""With less than this free, a tool that failed is taken to have failed for want of space."""


class Cache:
    """Entries under one root folder. Creating it touches nothing."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def find(self, kind: str, key: str) -> Path | None:
        """The folder of an intact entry, or None. A damaged entry is removed."""
        folder = self._folder(kind, key)
        if not folder.is_dir():
            return None
        if _is_intact(folder):
            return folder
        with self._writing():
            self._set_aside(folder)
        return None

    def build(self, kind: str, key: str, fill: Callable[[Path], None]) -> Path:
        """The folder of the entry, after `fill` wrote its files into an empty one.

        What `fill` raises is passed on and nothing remains. Raises CacheUnwritable.
        """
        with self.workspace() as work:
            fresh = work / "entry"
            with self._writing():
                fresh.mkdir()
            fill(fresh)
            with self._writing():
                _write_manifest(fresh)
                return self._publish(fresh, self._folder(kind, key))

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """A private folder on the cache's file system, removed at the end.

        Raises CacheUnwritable, also when the body of the `with` runs out of space.
        """
        with self._writing():
            scratch = self._root / "tmp"
            scratch.mkdir(parents=True, exist_ok=True)
            _remove_stale(scratch)
            folder = Path(tempfile.mkdtemp(dir=scratch))
        try:
            with holding.held_folder(folder):
                yield folder
        except OSError as error:
            if error.errno in NO_SPACE:
                raise unwritable(self._root, error) from error
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def alone(self, key: str, waiting: Callable[[], None]) -> Iterator[None]:
        """Holds the entry of `key` among processes and threads; `waiting` is called if another has it.

        Raises CacheUnwritable. What the body raises is passed on.
        """
        with ExitStack() as stack:
            with self._writing():
                stack.enter_context(holding.alone(self._root / "locks" / key[:_LOCK_DIGITS], waiting))
            yield

    def _folder(self, kind: str, key: str) -> Path:
        return self._root / kind / key[:2] / key

    def _publish(self, fresh: Path, final: Path) -> Path:
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            fresh.rename(final)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            if not _is_intact(final):  # else another process was first: its copy is as good as ours
                self._set_aside(final)
                fresh.rename(final)
        return final

    def _set_aside(self, folder: Path) -> None:
        scratch = self._root / "tmp"
        scratch.mkdir(parents=True, exist_ok=True)
        grave = Path(tempfile.mkdtemp(dir=scratch))
        with suppress(FileNotFoundError):  # another process removed it first
            folder.rename(grave / "damaged")
        shutil.rmtree(grave, ignore_errors=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unwritable(self._root, error) from error


def says_full(log: str) -> bool:
    """Whether a tool's own words tell of a full disk, which it may have made room on since."""
    return any(os.strerror(number) in log for number in (errno.ENOSPC, errno.EDQUOT))


def unwritable(root: Path, error: OSError, what: str = "cache") -> CacheUnwritable | OSError:
    """`error` as CacheUnwritable when it is about permissions, space or the kind of file; else unchanged."""
    if error.errno not in _UNWRITABLE:
        return error
    if error.errno in NO_SPACE:
        return CacheUnwritable(
            f"no space left in the {what} folder {root}",
            hint=f"free some space; the {what} folder may be deleted at any time",
        )
    return CacheUnwritable(
        f"cannot write the {what} folder {root}: {error.strerror}",
        hint="make it a folder you may write to, or choose another",
    )


def _write_manifest(folder: Path) -> None:
    files = {
        str(path.relative_to(folder)): digest.of_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    (folder / _MANIFEST).write_text(json.dumps({"files": files}, indent=1))


def _is_intact(folder: Path) -> bool:
    try:
        files: dict[str, str] = json.loads((folder / _MANIFEST).read_text())["files"]
        return bool(files) and all(digest.of_file(folder / name) == sha for name, sha in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _remove_stale(scratch: Path) -> None:
    """Drop what killed processes left behind."""
    now = time.time()
    for folder in scratch.iterdir():
        try:
            age_s = now - folder.stat().st_mtime
            if age_s < _FRESH_S:
                continue
            held = holding.is_held(folder)
            if held is False or (held is None and age_s > _STALE_AFTER_S):
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # gone, or not ours to look into
            continue
