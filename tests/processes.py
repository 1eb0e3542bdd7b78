"""What /proc tells of processes that tests started."""

from __future__ import annotations

import contextlib
import os
import select
from pathlib import Path


def children_of(pid: int) -> set[int]:
    """The child processes of a process now, whichever thread forked them; a thread may end meanwhile."""
    found: set[int] = set()
    with contextlib.suppress(FileNotFoundError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found |= {int(child) for child in (thread / "children").read_text().split()}
    return found


def is_running(pid: int) -> bool:
    """Whether there is such a process and it has not ended: a zombie has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the latter if it goes between open and read
        return False


def has_ended(pid: int, *, timeout_s: float) -> bool:
    """Whether the process has ended, or does so within `timeout_s`. It need not be a child of ours."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], timeout_s)[0])
    finally:
        os.close(descriptor)
