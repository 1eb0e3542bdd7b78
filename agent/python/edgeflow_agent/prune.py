"""Keeps the work folder under a quota: what was used longest ago goes first, nothing that is in use."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from edgeflow_agent.folder import JobLock, WorkFolder
from edgeflow_agent.sites import LOCK, MANIFEST
from edgeflow_agent.spool import Spool

GRACE_S = 3600.0
"""What was pushed or used within the last hour stays: another host may be about to run it."""


AGENTS = ("agent.pyz", "edgeflow-agent")
"""What an agent's folder holds, of either kind."""


class Item(NamedTuple):
    """Something that may go as a whole. `used` is the time of its last use, seconds since the epoch.

    Of two that were used together the lower rank goes first: a site before the files that it links to.
    """

    used: float
    rank: int
    size_bytes: int
    path: str


def prune(work: WorkFolder, own_build: str, max_bytes: int) -> Dict[str, Any]:
    """Removes the least recently used until `max_bytes` hold.

    {"removed": [paths], "freed_bytes", "kept_bytes", "busy"}: nothing is removed while anybody's job runs,
    and `busy` then tells whose. Raises OSError.
    """
    holder = JobLock(work.lock_path).holder()
    items = sorted(_items(work, own_build))
    kept_bytes = _tree_bytes(work.path)
    freed_bytes, removed = 0, []
    horizon = time.time() - GRACE_S
    for item in items:
        if holder is not None or kept_bytes <= max_bytes or item.used > horizon:
            break
        _remove(item.path)
        kept_bytes -= item.size_bytes
        freed_bytes += item.size_bytes
        removed.append(os.path.relpath(item.path, work.path))
    return {"removed": removed, "freed_bytes": freed_bytes, "kept_bytes": kept_bytes, "busy": holder}


def _items(work: WorkFolder, own_build: str) -> List[Item]:
    """Models, wheels, sites, agents of other builds that no daemon runs, results that nobody fetched."""
    found = [_item(os.path.join(work.site, name), (MANIFEST,)) for name in _names(work.site) if name != LOCK]
    linked = _linked([item for item in found if item is not None])
    for name in _names(work.files):
        item = _item(os.path.join(work.files, name), rank=1)
        # A file that a site links to is used whenever the site is.
        found.append(item and item._replace(used=max(item.used, linked.get(name, 0.0))))
    agents = os.path.join(work.path, "agents")
    for build in _names(agents):
        run = os.path.join(work.path, "run", build)
        if build != own_build and not daemon_runs(run):
            found.append(_item(os.path.join(agents, build), AGENTS))
            if os.path.isdir(run):
                found.append(_item(run))
    found += [
        _item(os.path.join(work.jobs, record.job))
        for record in Spool(work.jobs).records()
        if record.state != "running"
    ]
    return [item for item in found if item is not None]


def _linked(sites: List[Item]) -> Dict[str, float]:
    """Names in WORK/files that a native agent's site links to -> the last use of such a site."""
    found: Dict[str, float] = {}
    for site in sites:
        for name in _names(site.path):
            try:
                target = os.readlink(os.path.join(site.path, name))
            except OSError:
                continue  # no link
            file = os.path.basename(target)
            found[file] = max(found.get(file, 0.0), site.used)
    return found


def daemon_runs(run: str) -> bool:
    """Whether a daemon lives in WORK/run/<build>: it holds its pid file's lock for all its life."""
    try:
        with open(os.path.join(run, "agent.pid"), "rb") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _item(path: str, markers: Sequence[str] = (), *, rank: int = 0) -> Optional[Item]:
    """The item; its first marker that is there tells its last use, else itself. None when it is just gone."""
    for place in [*(os.path.join(path, marker) for marker in markers), path]:
        try:
            told = os.stat(place)
        except (FileNotFoundError, NotADirectoryError):
            continue  # unfinished: its marker never came; or it is just gone
        return Item(max(told.st_atime, told.st_mtime), rank, _tree_bytes(path), path)
    return None


def _tree_bytes(path: str) -> int:
    if not os.path.isdir(path):
        return _size(path)
    return sum(_size(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names)


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except FileNotFoundError:
        return 0


def _names(folder: str) -> List[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):  # two hosts may prune at once
        if not os.path.isdir(path):
            os.unlink(path)
            return
        # Renamed first: half a folder must never look like a whole one.
        grave = os.path.join(os.path.dirname(path), ".removed-" + os.path.basename(path).lstrip("."))
        os.rename(path, grave)
        shutil.rmtree(grave)
