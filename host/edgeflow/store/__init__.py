"""The store: every result with its raw samples, in one SQLite file."""

from __future__ import annotations

from edgeflow.store.export import COLUMNS, write_csv, write_json
from edgeflow.store.ids import new_result_id
from edgeflow.store.store import ResultRow, Store
from edgeflow.store.sweeps import JobRow, SweepBook, SweepRow

__all__ = [
    "COLUMNS",
    "JobRow",
    "ResultRow",
    "Store",
    "SweepBook",
    "SweepRow",
    "new_result_id",
    "write_csv",
    "write_json",
]
