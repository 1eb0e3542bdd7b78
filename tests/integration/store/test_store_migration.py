"""A store of the first version, opened by this one."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgeflow.store import Store
from edgeflow.store.schema import MIGRATIONS


def test_results_of_the_first_version_are_listed_with_what_lists_need_now(
    tmp_path: Path, make_document: Callable[..., dict[str, Any]]
) -> None:
    path = tmp_path / "results.db"
    document = make_document("old1", mode="thorough", numerics={"verdict": "pass"})
    document["latency_ms"]["p95"] = 4.25
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for statement in MIGRATIONS[0]:
            connection.execute(statement)
        connection.execute(
            "INSERT INTO result (id, started_at, device, model, runtime, precision, status, document)"
            " VALUES ('old1', '2026', 'local', 'm', 'ncnn', 'fp32', 'ok', ?)",
            (json.dumps(document),),
        )
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    with Store.open(path) as store:
        (row,) = store.list()
        assert (row.mode, row.accelerator, row.p95_ms, row.numerics) == ("thorough", "cpu", 4.25, "pass")
        assert (row.sweep, row.repeat, row.elapsed_s) == (None, None, None)
        store.add(make_document("new1"), {"samples_ns": [1, 2, 3]})
        assert [found.id for found in store.list()] == ["new1", "old1"]
