"""`edgeflow results history`: one cell over time, and which version came with which change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeflow.compare.documents import verdict_of
from edgeflow.compare.stats import difference
from edgeflow.store import ResultRow, Store

SCHEMA = "edgeflow.history/1"
_CELL = ("model", "device", "runtime", "precision", "accelerator", "threads", "mode")


def history_document(what: str, store_path: Path, *, limit: int) -> dict[str, Any]:
    """The newest `limit` results of the cell of result `what`, the oldest first (schema edgeflow.history/1).

    Each with what is of another version than in the one before, and how its median differs from that one's
    (as `compare` tells it). Raises UsageError for no such result.
    """
    with Store.open(store_path) as store:
        wanted = store.get(what)["result_id"]
        (one,) = (row for row in store.list({}, limit=None) if row.id == wanted)
        filters = {"model": one.model, "device": one.device, "runtime": one.runtime}
        alike = [row for row in store.list(filters, limit=None) if _cell(row) == _cell(one)]
        rows = alike[:limit][::-1]
        documents = [store.get(row.id) for row in rows]
        samples = store.samples_of(row.id for row in rows)
    entries = []
    for index, (row, document) in enumerate(zip(rows, documents, strict=True)):
        before = rows[index - 1] if index else None
        entries.append(
            {
                "result_id": row.id,
                "started_at": row.started_at,
                "median_ms": row.median_ms,
                "ci95_ms": (document.get("latency_ms") or {}).get("ci95"),
                "validity": row.validity,
                "versions": versions_of(document),
                "changed": _changed(documents[index - 1], document) if index else [],
                **_against(before, row, samples),
            }
        )
    return {
        "schema": SCHEMA,
        "cell": {name: getattr(one, name) for name in _CELL},
        "count": len(alike),
        "results": entries,
    }


def versions_of(document: Mapping[str, Any]) -> dict[str, str]:
    """What a figure depends on beside its cell, each with the version that the result was made with."""
    facts = document["device"].get("facts") or {}
    agent = document.get("agent") or {}
    found = {
        "model": (document["model"].get("sha256") or "")[:12],
        "runtime": document["runtime"].get("version"),
        **{f"tool {name}": version for name, version in _tools(document).items()},
        "edgeflow": agent.get("version"),
        "agent": f"{agent['kind']} {agent['build']}" if agent else None,
        "device system": facts.get("os_version"),
        "device kernel": facts.get("kernel"),
        "governor": document.get("governor"),
    }
    return {name: str(value) for name, value in found.items() if value}


def _tools(document: Mapping[str, Any]) -> Mapping[str, str]:
    return (document.get("artifact") or {}).get("tools") or {}


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, str | None]]:
    old, new = versions_of(before), versions_of(after)
    return [
        {"what": name, "from": old.get(name), "to": new.get(name)}
        for name in {**new, **old}
        if old.get(name) != new.get(name)
    ]


def _against(
    before: ResultRow | None, row: ResultRow, samples: Mapping[str, Sequence[int]]
) -> dict[str, Any]:
    """How the median differs from that of the result before; all None for the first, and without samples."""
    if before is None or not samples.get(before.id) or not samples.get(row.id):
        return {"change": None, "ci95": None, "verdict": None}
    found = difference([samples[before.id]], [samples[row.id]])
    interval = None if found.ci95 is None else list(found.ci95)
    return {"change": found.change, "ci95": interval, "verdict": verdict_of(found)}


def _cell(row: ResultRow) -> tuple[object, ...]:
    return tuple(getattr(row, name) for name in _CELL)
