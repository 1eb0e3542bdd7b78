"""Results in and out of the database."""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edgeflow.errors import UsageError
from edgeflow.store.database import connect, transaction, translated

SAMPLES = "samples_ns"
"""The kind of the warm samples; the agent also gives "warmup_ns" and "starts_ns"."""

FILTERS = ("device", "model", "runtime", "precision", "threads", "status", "validity", "sweep")


@dataclass(frozen=True, slots=True)
class ResultRow:
    """What a list of results shows of each."""

    id: str
    started_at: str
    device: str
    model: str
    runtime: str
    precision: str
    threads: int | None
    status: str
    validity: str | None
    median_ms: float | None
    accelerator: str | None
    mode: str | None
    p95_ms: float | None
    numerics: str | None
    elapsed_s: float | None
    sweep: str | None
    repeat: int | None


_COLUMNS = tuple(ResultRow.__slots__)
_BATCH = 500  # SQLite takes at least 999 parameters


class Store:
    """All results of one EDGEFLOW_HOME. Safe for several threads and processes at once.

    Every method raises UsageError or EdgeflowError, in one line, for a file that cannot be read or written.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Opens the database, creating it and its folder, or bringing it to this version's schema."""
        return cls(path, connect(path))

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for this package's other modules, while no other thread uses it."""
        with self._lock, translated(self._path):
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """As `reading`, in one write transaction that the body commits by ending well."""
        with self._lock, translated(self._path), transaction(self._connection):
            yield self._connection

    def add(
        self,
        document: Mapping[str, Any],
        samples: Mapping[str, Sequence[int]],
        *,
        also: Callable[[sqlite3.Connection], None] | None = None,
    ) -> None:
        """Commits one result (schema edgeflow.result/1) with its raw series in one transaction.

        `samples` maps a kind ("samples_ns", "warmup_ns", "starts_ns") to int64 values. The document's own
        `samples_ns` joins them and is not stored twice. `also` writes what is to be committed with the
        result. Raises ValueError for a document that lacks an indexed field, holds NaN or other samples than
        `samples`, or whose id is in the store already.
        """
        slim = {key: value for key, value in document.items() if key != SAMPLES}
        row = _row_of(document)
        text = json.dumps(slim, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        own = document.get(SAMPLES)
        if own and tuple(own) != tuple(samples.get(SAMPLES, own)):
            raise ValueError(f"result {row.id} carries other samples than it is stored with")
        series = {SAMPLES: own, **samples} if own else samples
        blobs = [(kind, len(values), _pack(values)) for kind, values in series.items()]
        with self.writing() as connection:
            if connection.execute("SELECT 1 FROM result WHERE id = ?", (row.id,)).fetchone():
                raise ValueError(f"result {row.id} is in the store already")
            seq = connection.execute(
                f"INSERT INTO result ({', '.join(_COLUMNS)}, document)"
                f" VALUES ({', '.join('?' * len(_COLUMNS))}, ?)",
                (*(getattr(row, name) for name in _COLUMNS), text),
            ).lastrowid
            connection.executemany(
                "INSERT INTO series (result_seq, kind, n, data) VALUES (?, ?, ?, ?)",
                [(seq, *blob) for blob in blobs],
            )
            if also is not None:
                also(connection)

    def get(self, id_or_prefix: str) -> dict[str, Any]:
        """The document of a result, without samples: by id, by the beginning of one, or "last" (the newest).

        Raises UsageError for none, and for several, which it lists.
        """
        _, text = self._find(id_or_prefix, "document")
        document: dict[str, Any] = json.loads(text)
        return document

    def samples(self, id_or_prefix: str, kind: str = SAMPLES) -> tuple[int, ...]:
        """One raw series of a result, in the order it was taken. Raises UsageError where it has none."""
        return self._series(id_or_prefix, kind)[kind]

    def series(self, id_or_prefix: str) -> dict[str, tuple[int, ...]]:
        """All raw series of a result, by kind."""
        return self._series(id_or_prefix, None)

    def list(
        self, filters: Mapping[str, str | int] | None = None, limit: int | None = 50
    ) -> tuple[ResultRow, ...]:
        """The newest results first, those that equal every filter. UsageError for an unknown filter."""
        wanted = dict(filters or {})
        for name in wanted:
            if name not in FILTERS:
                raise UsageError(f"unknown filter '{name}'", hint=f"filters are: {', '.join(FILTERS)}")
        columns = ", ".join(_COLUMNS)
        where = "".join(f" AND {name} = ?" for name in wanted)
        with self.reading() as connection:
            rows = connection.execute(
                f"SELECT {columns} FROM result WHERE true{where} ORDER BY seq DESC LIMIT ?",
                (*wanted.values(), -1 if limit is None else limit),
            ).fetchall()
        return tuple(ResultRow(*row) for row in rows)

    def _find(self, id_or_prefix: str, column: str) -> tuple[int, Any]:
        with self._lock, translated(self._path):
            if id_or_prefix == "last":
                rows = self._connection.execute(
                    f"SELECT seq, {column}, id FROM result ORDER BY seq DESC LIMIT 1"
                ).fetchall()
            else:
                rows = self._connection.execute(
                    f"SELECT seq, {column}, id FROM result WHERE substr(id, 1, ?) = ? ORDER BY id LIMIT 12",
                    (len(id_or_prefix), id_or_prefix),
                ).fetchall()
        exact = [row for row in rows if row[2] == id_or_prefix]
        rows = exact or rows
        if not rows:
            if id_or_prefix == "last":
                raise UsageError("there are no results yet", hint="`edgeflow deploy` makes the first one")
            raise UsageError(f"no result '{id_or_prefix}'", hint="`edgeflow results list` shows them")
        if len(rows) > 1:
            some = ", ".join(row[2] for row in rows[:10]) + (", …" if len(rows) > 10 else "")
            raise UsageError(
                f"'{id_or_prefix}' begins the ids of several results: {some}", hint="give more of the id"
            )
        return rows[0][0], rows[0][1]

    def _series(self, id_or_prefix: str, kind: str | None) -> dict[str, tuple[int, ...]]:
        seq, result_id = self._find(id_or_prefix, "id")
        with self._lock, translated(self._path):
            rows = self._connection.execute(
                "SELECT kind, n, data FROM series WHERE result_seq = ?", (seq,)
            ).fetchall()
        found = {row[0]: _unpack(row[2]) for row in rows if kind in (None, row[0])}
        if kind is not None and kind not in found:
            known = ", ".join(row[0] for row in rows) or "none"
            raise UsageError(f"result {result_id} has no series '{kind}'", hint=f"it has: {known}")
        return found

    def elapsed(self) -> Sequence[tuple[str, str, str, str | None, float, int]]:
        """How long deploys took: (device, model, runtime, mode, mean seconds, how many)."""
        with self.reading() as connection:
            return connection.execute(
                "SELECT device, model, runtime, mode, avg(elapsed_s), count(*) FROM result"
                " WHERE elapsed_s IS NOT NULL GROUP BY device, model, runtime, mode"
            ).fetchall()

    def documents_of(self, ids: Iterable[str]) -> Iterator[dict[str, Any]]:
        """The documents of many results by their whole ids, without samples, in no order to rely on; ids that
        are not there are passed over.
        """
        wanted = list(ids)
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            with self.reading() as connection:
                rows = connection.execute(
                    f"SELECT document FROM result WHERE id IN ({', '.join('?' * len(batch))})",
                    batch,
                ).fetchall()
            for row in rows:
                document: dict[str, Any] = json.loads(row[0])
                yield document

    def samples_of(self, ids: Iterable[str], kind: str = SAMPLES) -> dict[str, array[int]]:
        """One raw series of many results at once, by id; results without it are absent."""
        found: dict[str, array[int]] = {}
        wanted = list(ids)
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            with self.reading() as connection:
                rows = connection.execute(
                    "SELECT result.id, series.data FROM result JOIN series ON series.result_seq = result.seq"
                    f" WHERE series.kind = ? AND result.id IN ({', '.join('?' * len(batch))})",
                    (kind, *batch),
                ).fetchall()
            found |= {row[0]: _array(row[1]) for row in rows}
        return found


def _row_of(document: Mapping[str, Any]) -> ResultRow:
    try:
        return ResultRow(
            id=document["result_id"],
            started_at=document["started_at"],
            device=document["device"]["name"],
            model=document["model"]["name"],
            runtime=document["runtime"]["name"],
            precision=document["precision"]["name"],
            threads=document.get("threads"),
            status=document["status"],
            validity=(document.get("validity") or {}).get("state"),
            median_ms=(document.get("latency_ms") or {}).get("median"),
            accelerator=document["runtime"].get("accelerator"),
            mode=document.get("mode"),
            p95_ms=(document.get("latency_ms") or {}).get("p95"),
            numerics=(document.get("numerics") or {}).get("verdict"),
            elapsed_s=document.get("elapsed_s"),
            sweep=(document.get("sweep") or {}).get("id"),
            repeat=(document.get("sweep") or {}).get("repeat"),
        )
    except KeyError as error:
        raise ValueError(f"a result document without {error}") from error


def _pack(values: Sequence[int]) -> bytes:
    packed = array("q", values)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def _unpack(data: bytes) -> tuple[int, ...]:
    return tuple(_array(data))


def _array(data: bytes) -> array[int]:
    values = array("q", data)
    if sys.byteorder == "big":
        values.byteswap()
    return values
