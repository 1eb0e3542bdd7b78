"""Sweeps in and out of the database: their plans, and what became of each job."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeflow.errors import UsageError

if TYPE_CHECKING:
    from edgeflow.store.store import Store

LAST = "last"


@dataclass(frozen=True, slots=True)
class SweepRow:
    """A sweep as it was begun. `plan` and `matrix` are JSON documents."""

    id: str
    started_at: str
    name: str | None
    plan_path: str | None
    plan_digest: str
    cwd: str
    devices_file: str | None
    plan: Mapping[str, Any]
    matrix: Mapping[str, Any]
    models: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class JobRow:
    """One run of one cell. `status`: pending, ok or failed; `error` where it is known why it is not ok."""

    cell_id: str
    repeat: int
    position: int
    cell: Mapping[str, Any]
    status: str
    device: str
    result_id: str | None = None
    error: Mapping[str, Any] | None = None
    attempts: int = 0


class SweepBook:
    """The sweeps of one store. Safe for several threads; every method's writes are on the disk when it
    returns. Raises UsageError as Store does.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, sweep: SweepRow, jobs: Sequence[JobRow]) -> None:
        """Writes down a new sweep and all its jobs, or nothing."""
        with self._store.writing() as connection:
            seq = connection.execute(
                "INSERT INTO sweep (id, started_at, name, plan_path, plan_digest, plan, matrix, models, cwd,"
                " devices_file) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    sweep.id, sweep.started_at, sweep.name, sweep.plan_path, sweep.plan_digest,
                    _json(sweep.plan), _json(sweep.matrix), _json(sweep.models), sweep.cwd,
                    sweep.devices_file,
                ),
            ).lastrowid  # fmt: skip
            connection.executemany(
                "INSERT INTO sweep_job (sweep_seq, cell_id, repeat, position, cell, status, device)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (seq, job.cell_id, job.repeat, job.position, _json(job.cell), job.status, job.device)
                    for job in jobs
                ],
            )

    def find(self, id_or_prefix: str) -> SweepRow:
        """A sweep by id, by the beginning of one, or "last". Raises UsageError for none and for several."""
        columns = "id, started_at, name, plan_path, plan_digest, cwd, devices_file, plan, matrix, models"
        where, values = "ORDER BY seq DESC LIMIT 1", tuple[object, ...]()
        if id_or_prefix != LAST:
            where = "WHERE substr(id, 1, ?) = ? ORDER BY id LIMIT 12"
            values = (len(id_or_prefix), id_or_prefix)
        with self._store.reading() as connection:
            rows = connection.execute(f"SELECT {columns} FROM sweep {where}", values).fetchall()
        rows = [row for row in rows if row[0] == id_or_prefix] or rows
        if not rows and id_or_prefix == LAST:
            raise UsageError("there are no sweeps yet", hint="`edgeflow sweep` makes the first one")
        if not rows:
            raise UsageError(f"no sweep '{id_or_prefix}'", hint="`edgeflow results list` names sweeps")
        if len(rows) > 1:
            some = ", ".join(row[0] for row in rows)
            raise UsageError(f"'{id_or_prefix}' begins the ids of several sweeps: {some}")
        words, documents = rows[0][:7], rows[0][7:]
        return SweepRow(*words, *map(json.loads, documents))

    def exists(self, id_or_prefix: str) -> bool:
        """Whether `find` would find a sweep."""
        try:
            self.find(id_or_prefix)
        except UsageError:
            return False
        return True

    def jobs(self, sweep_id: str) -> list[JobRow]:
        """Every job of a sweep, in the plan's order, repeat by repeat."""
        with self._store.reading() as connection:
            rows = connection.execute(
                "SELECT cell_id, repeat, position, cell, status, device, result_id, error, attempts"
                " FROM sweep_job JOIN sweep ON sweep.seq = sweep_seq WHERE sweep.id = ?"
                " ORDER BY repeat, position",
                (sweep_id,),
            ).fetchall()
        return [
            JobRow(
                cell_id, repeat, position, json.loads(cell), status, device, result_id,
                None if error is None else json.loads(error), attempts,
            )
            for cell_id, repeat, position, cell, status, device, result_id, error, attempts in rows
        ]  # fmt: skip

    def note_model(self, sweep_id: str, model: str, sha256: str) -> str:
        """Remembers the content of a model at its first use; the content that it had then."""
        with self._store.writing() as connection:
            text = connection.execute("SELECT models FROM sweep WHERE id = ?", (sweep_id,)).fetchone()[0]
            models = json.loads(text)
            known: str = models.setdefault(model, sha256)
            connection.execute("UPDATE sweep SET models = ? WHERE id = ?", (_json(models), sweep_id))
        return known

    def settle(
        self,
        sweep_id: str,
        cell_id: str,
        repeat: int,
        *,
        status: str,
        device: str,
        attempts: int,
        error: Mapping[str, Any] | None = None,
    ) -> None:
        """Commits what became of a job that has no result."""
        with self._store.writing() as connection:
            _update(connection, sweep_id, cell_id, repeat, status, device, attempts, None, error)

    def finisher(
        self, sweep_id: str, cell_id: str, repeat: int, *, device: str, attempts: int, result_id: str
    ) -> Callable[[sqlite3.Connection], None]:
        """What `Store.add` commits together with the job's result: the two are there, or neither is."""

        def finish(connection: sqlite3.Connection) -> None:
            _update(connection, sweep_id, cell_id, repeat, "ok", device, attempts, result_id, None)

        return finish

    def reopen_failed(self, sweep_id: str) -> int:
        """Makes failed jobs pending again; how many."""
        with self._store.writing() as connection:
            return connection.execute(
                "UPDATE sweep_job SET status = 'pending', error = NULL, attempts = 0"
                " WHERE status = 'failed' AND sweep_seq = (SELECT seq FROM sweep WHERE id = ?)",
                (sweep_id,),
            ).rowcount


def resolved_filters(filters: Mapping[str, str], store: Store) -> dict[str, str]:
    """The filters with the sweep's whole id for the beginning of one, or "last". Raises UsageError."""
    found = dict(filters)
    if "sweep" in found:
        found["sweep"] = SweepBook(store).find(found["sweep"]).id
    return found


def _update(
    connection: sqlite3.Connection,
    sweep_id: str,
    cell_id: str,
    repeat: int,
    status: str,
    device: str,
    attempts: int,
    result_id: str | None,
    error: Mapping[str, Any] | None,
) -> None:
    """Raises ValueError for a job that has its result already: it would have been run twice."""
    changed = connection.execute(
        "UPDATE sweep_job SET status = ?, device = ?, attempts = ?, result_id = ?, error = ?"
        " WHERE cell_id = ? AND repeat = ? AND result_id IS NULL"
        " AND sweep_seq = (SELECT seq FROM sweep WHERE id = ?)",
        (status, device, attempts, result_id, None if error is None else _json(error), cell_id, repeat,
         sweep_id),
    ).rowcount  # fmt: skip
    if changed != 1:
        raise ValueError(f"sweep {sweep_id}: cell {cell_id}, repeat {repeat}, is not there or has a result")


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
