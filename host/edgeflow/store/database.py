"""Opening the SQLite file: settings, schema version, and SQLite's errors in words that help."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from edgeflow.errors import UsageError
from edgeflow.store.schema import MIGRATIONS, VERSION

_BUSY_TIMEOUT_MS = 30_000


def connect(path: Path) -> sqlite3.Connection:
    """A connection in WAL mode with the newest schema, created or migrated as needed.

    Commits are on the disk when they return (synchronous=FULL). Raises UsageError for a place that cannot be
    written and for a file that is damaged or written by a newer version.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error
    if path.is_dir():
        raise UsageError(f"{path}: is a folder, not a results database", hint="move it or set EDGEFLOW_HOME")
    with translated(path):
        connection = sqlite3.connect(
            path, timeout=_BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False
        )
    try:
        with _alone_in(path.parent), translated(path):
            _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    _migrate(connection, path)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Lets one process at a time prepare a database: SQLite's busy timeout does not cover the way to WAL."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise _unwritable(folder, error.strerror or str(error)) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise _unwritable(folder, f"cannot be locked: {error.strerror}") from error
        yield
    finally:
        os.close(descriptor)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    if _version(connection, path) == VERSION and _journal_mode(connection) == "wal":
        return
    if _journal_mode(connection) != "wal":
        _set_wal(connection, path)
    with transaction(connection):
        for statements in MIGRATIONS[_version(connection, path) :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version, tables = connection.execute(
        "SELECT user_version, (SELECT count(*) FROM sqlite_master) FROM pragma_user_version"
    ).fetchone()
    if version > VERSION:
        raise UsageError(
            f"{path}: written by a newer edgeflow (store version {version}, this one knows {VERSION})",
            hint="upgrade edgeflow, or set EDGEFLOW_HOME to another folder",
        )
    if version == 0 and tables:
        raise UsageError(f"{path}: a database, but not edgeflow's", hint="move it away or set EDGEFLOW_HOME")
    return int(version)


def _journal_mode(connection: sqlite3.Connection) -> str:
    return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def _set_wal(connection: sqlite3.Connection, path: Path) -> None:
    mode = str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
    if mode != "wal":
        raise UsageError(
            f"{path}: this file system cannot hold a write-ahead log (mode stays '{mode}')",
            hint="set EDGEFLOW_HOME to a folder on a local disk",
        )


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One write transaction, its lock taken at the start; undone when the body raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):  # the first error is the one to tell
                connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translate(path, error) from error


def _translate(path: Path, error: sqlite3.Error) -> UsageError:
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL":
        return UsageError(f"{path}: {os.strerror(errno.ENOSPC)}", hint="free some space or set EDGEFLOW_HOME")
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
        return _unwritable(path, str(error))
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return UsageError(
            f"{path}: the results database is damaged ({error})",
            hint="move the file away (with its -wal and -shm files) to start a new one, or restore a backup",
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return UsageError(
            f"{path}: another process has held the results database for {_BUSY_TIMEOUT_MS // 1000} s",
            hint="end the other edgeflow process and try again",
        )
    return UsageError(f"{path}: {error} ({name})", hint="look at the disk, or set EDGEFLOW_HOME")


def _unwritable(path: Path, words: str) -> UsageError:
    return UsageError(
        f"{path}: cannot be written: {words}", hint="make the folder writable or set EDGEFLOW_HOME to another"
    )
