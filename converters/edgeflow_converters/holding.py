"""Locks among processes, on files and folders, that are let go of however their holder ends.

They are advisory (flock): a file system that has none (some network shares) is worked on without.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds the file `path`, made if need be, while the body runs; `waiting` is called if another has it.

    Raises OSError if the file cannot be opened.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if take(descriptor) is False:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def held_folder(folder: Path) -> Iterator[None]:
    """Marks `folder` as in use while the body runs, for is_held."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        take(descriptor)
        yield
    finally:
        os.close(descriptor)


def is_held(folder: Path) -> bool | None:
    """Whether a process uses `folder`; None where that cannot be told. Raises FileNotFoundError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        taken = take(descriptor)
        return None if taken is None else not taken
    finally:
        os.close(descriptor)


def take(descriptor: int) -> bool | None:
    """Whether the lock could be had at once; None where the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
