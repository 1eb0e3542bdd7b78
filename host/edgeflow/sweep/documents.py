"""A sweep as documents: what was run and what became of it, and what a plan would come to."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeflow.store import JobRow, Store, SweepBook
    from edgeflow.sweep.estimate import Estimate
    from edgeflow.sweep.faults import Fault
    from edgeflow.sweep.matrix import Dropped, Matrix

SCHEMA = "edgeflow.sweep/1"


def dropped_json(dropped: Dropped) -> dict[str, Any]:
    return {**dropped.cell.to_json(), "cell": dropped.cell.id, "reason": dropped.reason}


def sweep_json(
    sweep_id: str, store: Store, book: SweepBook, given_up: Mapping[str, Fault] | None = None
) -> dict[str, Any]:
    """A sweep as the store has it (schema edgeflow.sweep/1). `given_up`: devices quarantined just now."""
    row, jobs = book.find(sweep_id), book.jobs(sweep_id)
    results = {result.id: result for result in store.list({"sweep": row.id}, limit=None)}
    documents = []
    for job in jobs:
        result = results.get(job.result_id or "")
        documents.append(
            {
                **job.cell,
                "device": job.device if job.status != "pending" else job.cell["device"],
                "cell": job.cell_id,
                "repeat": job.repeat,
                "status": job.status,
                "error": job.error,
                "attempts": job.attempts,
                "result_id": job.result_id,
                "median_ms": None if result is None else result.median_ms,
                "validity": None if result is None else result.validity,
            }
        )
    counts = Counter(job.status for job in jobs)
    return {
        "schema": SCHEMA,
        "id": row.id,
        "name": row.name,
        "started_at": row.started_at,
        "status": _status(jobs),
        "plan": {"path": row.plan_path, "digest": row.plan_digest},
        "counts": {status: counts.get(status, 0) for status in ("ok", "failed", "pending")},
        "jobs": documents,
        "dropped": list(row.matrix["dropped"]),
        "quarantined": {name: fault.to_json() for name, fault in (given_up or {}).items()},
        "notes": list(row.matrix["notes"]),
    }


def plan_json(matrix: Matrix, repeats: int, estimate: Estimate, digest: str) -> dict[str, Any]:
    """What a plan comes to, with nothing run (schema edgeflow.sweep-plan/1)."""
    return {
        "schema": "edgeflow.sweep-plan/1",
        "digest": digest,
        "repeats": repeats,
        "cells": [
            {**cell.to_json(), "cell": cell.id, "priority": matrix.priority(cell)} for cell in matrix.cells
        ],
        "dropped": [dropped_json(dropped) for dropped in matrix.dropped],
        "notes": list(matrix.notes),
        "estimate": estimate.to_json(),
    }


def _status(jobs: list[JobRow]) -> str:
    """complete: every job has its result; failed: all are settled, some without; pending: some are not."""
    states = {job.status for job in jobs}
    if "pending" in states:
        return "pending"
    return "failed" if "failed" in states else "complete"
