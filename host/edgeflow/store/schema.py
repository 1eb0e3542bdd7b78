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
    (
        # What lists and comparisons need of a result, so that they need not read its document. `sweep` is the
        # id of the sweep that made it, `repeat` which of its rounds.
        *(
            f"ALTER TABLE result ADD COLUMN {column}"
            for column in (
                "accelerator TEXT",
                "mode TEXT",
                "p95_ms REAL",
                "numerics TEXT",
                "elapsed_s REAL",
                "sweep TEXT",
                "repeat INTEGER",
            )
        ),
        """UPDATE result SET
            accelerator = json_extract(document, '$.runtime.accelerator'),
            mode = json_extract(document, '$.mode'),
            p95_ms = json_extract(document, '$.latency_ms.p95'),
            numerics = json_extract(document, '$.numerics.verdict')""",
        "CREATE INDEX result_sweep ON result (sweep)",
        # A sweep keeps its plan, so that resuming needs no file; `matrix` is what the plan came to (dropped
        # cells with reasons, notes, stand-ins), `models` the SHA-256 of each model file that it began with.
        """CREATE TABLE sweep (
            id TEXT NOT NULL UNIQUE,
            started_at TEXT NOT NULL,
            name TEXT,
            plan_path TEXT,
            plan_digest TEXT NOT NULL,
            plan TEXT NOT NULL,
            matrix TEXT NOT NULL,
            models TEXT NOT NULL DEFAULT '{}',
            cwd TEXT NOT NULL,
            devices_file TEXT,
            seq INTEGER PRIMARY KEY AUTOINCREMENT
        )""",
        # One row for each run of each cell. `status`: pending, ok, failed. `device` is the one that ran it,
        # which may be a stand-in for the cell's own.
        """CREATE TABLE sweep_job (
            sweep_seq INTEGER NOT NULL REFERENCES sweep (seq) ON DELETE CASCADE,
            cell_id TEXT NOT NULL,
            repeat INTEGER NOT NULL,
            position INTEGER NOT NULL,
            cell TEXT NOT NULL,
            status TEXT NOT NULL,
            device TEXT NOT NULL,
            result_id TEXT,
            error TEXT,
            attempts INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (sweep_seq, cell_id, repeat)
        )""",
    ),
)
VERSION = len(MIGRATIONS)
