"""Stored results as the documents that `edgeflow results` shows."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeflow.errors import UsageError
from edgeflow.store.export import write_csv, write_json
from edgeflow.store.store import SAMPLES, ResultRow, Store
from edgeflow.store.sweeps import resolved_filters


def list_document(path: Path, filters: Mapping[str, str], limit: int | None) -> dict[str, Any]:
    """The newest results first, a row each (schema edgeflow.result-list/1)."""
    with Store.open(path) as store:
        rows = [_row(row) for row in store.list(resolved_filters(filters, store), limit)]
    return {"schema": "edgeflow.result-list/1", "filtered": bool(filters), "results": rows}


def show_document(path: Path, result_id: str) -> dict[str, Any]:
    """One result whole, with `samples_ns` and every other raw series under `series`."""
    with Store.open(path) as store:
        document = store.get(result_id)
        series = store.series(document["result_id"])
    document[SAMPLES] = list(series.pop(SAMPLES, ()))
    document["series"] = {kind: list(values) for kind, values in series.items()}
    return document


def export_text(path: Path, file_format: str, filters: Mapping[str, str], limit: int | None) -> str:
    """Results as one text, the oldest first. Raises UsageError for another format than csv and json."""
    buffer = io.StringIO(newline="")
    with Store.open(path) as store:
        ids = [row.id for row in store.list(resolved_filters(filters, store), limit)][::-1]
        if file_format == "csv":
            write_csv((store.get(result_id) for result_id in ids), buffer)
        elif file_format == "json":
            write_json(store, ids, buffer)
        else:
            raise UsageError(f"unknown format '{file_format}'", hint="use csv or json")
    return buffer.getvalue()


def _row(row: ResultRow) -> dict[str, Any]:
    return {
        "result_id": row.id,
        "started_at": row.started_at,
        "model": row.model,
        "device": row.device,
        "runtime": row.runtime,
        "precision": row.precision,
        "threads": row.threads,
        "mode": row.mode,
        "median_ms": row.median_ms,
        "p95_ms": row.p95_ms,
        "numerics": row.numerics,
        "validity": row.validity,
        "sweep": row.sweep,
        "repeat": row.repeat,
    }
