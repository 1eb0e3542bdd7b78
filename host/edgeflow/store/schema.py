"""The database's tables and how they came about: one entry of MIGRATIONS for each version.

A released entry is never changed; a new version appends one.
"""

from __future__ import annotations

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # `document` is the result's JSON (schema edgeflow.result/1) without its samples; the other
        # columns repeat what lists are filtered by.
        """CREATE TABLE result (
            id TEXT NOT NULL UNIQUE,
            started_at TEXT NOT NULL,
            device TEXT NOT NULL,
            model TEXT NOT NULL,
            runtime TEXT NOT NULL,
            precision TEXT NOT NULL,
            threads INTEGER,
            status TEXT NOT NULL,
            validity TEXT,
            median_ms REAL,
            document TEXT NOT NULL,
            seq INTEGER PRIMARY KEY AUTOINCREMENT
        )""",
        *(
            f"CREATE INDEX result_{column} ON result ({column})"
            for column in (
                "started_at",
                "device",
                "model",
                "runtime",
                "precision",
                "threads",
                "status",
                "validity",
            )
        ),
        # `data` is little-endian int64, one after another, in the order they were taken.
        """CREATE TABLE series (
            result_seq INTEGER NOT NULL REFERENCES result (seq) ON DELETE CASCADE,
            kind TEXT NOT NULL,
            n INTEGER NOT NULL,
            data BLOB NOT NULL,
            PRIMARY KEY (result_seq, kind)
        )""",
    ),
)
VERSION = len(MIGRATIONS)
