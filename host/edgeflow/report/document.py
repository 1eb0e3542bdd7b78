"""The report as one document (schema edgeflow.report/1): what assets/*.js draw, and nothing that they guess.

Ten thousand results are columns, not objects: `results.ID[i]` is the id of the i-th. What many results share
(device facts, runtime options, numerics by output) is written once, in `shared`, and named by its index.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from edgeflow import __version__
from edgeflow.report.encode import MOST_SAMPLES, SeriesWriter, thinning
from edgeflow.report.warnings import warnings_of
from edgeflow.store.export import look_up
from edgeflow.store.store import SAMPLES

if TYPE_CHECKING:
    from edgeflow.report.choose import Chosen
    from edgeflow.store import Store

SCHEMA = "edgeflow.report/1"

# Column -> where it is in a result's document. Figures of the same name and unit as `results export` has.
_FIGURES = {
    "id": "result_id",
    "started_at": "started_at",
    "median_ms": "latency_ms.median",
    "ci_low_ms": "latency_ms.ci95.0",
    "ci_high_ms": "latency_ms.ci95.1",
    "min_ms": "latency_ms.min",
    "p90_ms": "latency_ms.p90",
    "p95_ms": "latency_ms.p95",
    "p99_ms": "latency_ms.p99",
    "max_ms": "latency_ms.max",
    "mad_ms": "latency_ms.mad",
    "n": "latency_ms.n",
    "init_ms": "init_ms",
    "first_ms": "first_ms",
    "peak_rss_bytes": "memory.peak_rss_bytes",
    "model_rss_bytes": "memory.model_bytes",
    "artifact_bytes": "artifact.size_bytes",
    "energy_mj": "energy.mj_per_inference",
    "energy_uncertainty_mj": "energy.uncertainty_mj",
    "cosine_min": "numerics.cosine_min",
    "rel_err_max": "numerics.rel_err_max",
    "temperature_start_c": "conditions.temperature_c.start",
    "temperature_end_c": "conditions.temperature_c.end",
    "temperature_max_c": "conditions.temperature_c.max",
    "other_load": "conditions.other_load",
    "memory_available_bytes": "device.facts.memory_available_bytes",
    "throttled": "conditions.throttled",
    "repeat": "sweep.repeat",
}
# Column -> where; each value written once.
_SHARED = {
    "model": "model.name",
    "device": "device.name",
    "runtime": "runtime.name",
    "precision": "precision.name",
    "accelerator": "runtime.accelerator",
    "threads": "threads",
    "mode": "mode",
    "sweep": "sweep.id",
    "validity": "validity.state",
    "numerics": "numerics.verdict",
    "reasons": "validity.reasons",
    "notes": "validity.notes",
    "stop": "stop",
    "transport": "device.transport",
    "emulated": "device.facts.emulated",
    "agent": "agent",
    "runtime_detail": "runtime",
    "precision_detail": "precision",
    "model_detail": "model",
    "outputs": "numerics.outputs",
    "tolerance": "numerics.tolerance",
    "energy_detail": "energy",
    "answer": "prediction",
    "frequency": "conditions.frequency_mhz",
}
_FLEETING_FACTS = ("memory_available_bytes", "disk_free_bytes")  # other ones at every probe
_KEPT_OF_ARTIFACT = ("key", "size_bytes", "tools", "notes")
_EXTRA_SERIES = ("temperature_mc", "temperature_t_ns", "frequency_khz", "frequency_t_ns")
_SUSTAINED = "sustained"


def report_document(chosen: Chosen, store: Store, *, most_samples: int = MOST_SAMPLES) -> dict[str, Any]:
    """The whole document: header, results in columns, what was not measured, and every raw series."""
    documents = sorted(store.documents_of(chosen.ids), key=lambda found: str(found["started_at"]))
    columns, shared = _columns(documents)
    series, thinned = _series(documents, store, most_samples)
    sweep = chosen.sweep
    return {
        "schema": SCHEMA,
        "edgeflow": __version__,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "name": chosen.name,
        "period": [documents[0]["started_at"], documents[-1]["started_at"]] if documents else None,
        "sweep": None if sweep is None else _head(sweep, chosen.plan),
        "warnings": warnings_of(documents, sweep, thinned),
        "shared": shared,
        "results": columns,
        "missing": [] if sweep is None else _missing(sweep, documents),
        "series": series,
    }


def command_of(document: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """The deploy that measures this again, for a POSIX shell: what names the model, what names the device,
    and the rest, each shared by many results. None where the model's file is not known.
    """
    request = document.get("request") or {}
    model = request.get("model") or _zoo_model(document)
    if model is None:
        return None
    words = ["--runtime", document["runtime"]["name"], "--precision", document["precision"]["name"]]
    accelerator = document["runtime"].get("accelerator") or "cpu"
    for flag, value, usual in (
        ("--accelerator", accelerator, "cpu"),
        ("--threads", document.get("threads"), None),
        ("--affinity", _cores(document.get("affinity")), None),
        ("--governor", document.get("governor"), None),
        ("--mode", document.get("mode"), None),
        ("--budget-s", request.get("budget_s"), None),
        ("--agent", request.get("agent"), None),
    ):
        if value is not None and value != usual:
            words += [flag, f"{value:g}" if isinstance(value, float) else str(value)]
    device = ["--device", document["device"]["name"]]
    return shlex.join(["edgeflow", "deploy", model]), shlex.join(device), shlex.join(words)


def _command_part(at: int, document: Mapping[str, Any]) -> str | None:
    command = command_of(document)
    return None if command is None else command[at]


def _zoo_model(document: Mapping[str, Any]) -> str | None:
    """Results of before 0.1 kept the request say where their model came from in words."""
    origin = str(document["model"].get("origin") or "")
    return f"zoo:{document['model']['name']}" if "zoo" in origin.split(" ")[:3] else None


def _cores(affinity: Sequence[int] | None) -> str | None:
    return None if affinity is None else ",".join(map(str, affinity))


def _columns(documents: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Every column, and the values that indexes in columns of `_SHARED` stand for."""
    columns = {
        name: [_short(look_up(document, path)) for document in documents] for name, path in _FIGURES.items()
    }
    reads: dict[str, Callable[[Mapping[str, Any]], Any]] = {
        **{name: partial(_at, path) for name, path in _SHARED.items()},
        "facts": _facts,
        "artifact": _artifact,
        **{f"command_{at}": partial(_command_part, at) for at in range(3)},
    }
    shared: dict[str, list[Any]] = {}
    for name, read in reads.items():
        index: dict[str, int] = {}
        codes: list[int] = []
        values: list[Any] = []
        for document in documents:
            value = read(document)
            text = json.dumps(value, ensure_ascii=False)
            if text not in index:
                index[text] = len(values)
                values.append(value)
            codes.append(index[text])
        columns[name], shared[name] = codes, values
    return columns, shared


def _at(path: str, document: Mapping[str, Any]) -> Any:
    return look_up(document, path)


def _facts(document: Mapping[str, Any]) -> dict[str, Any]:
    facts = document["device"].get("facts") or {}
    return {key: value for key, value in facts.items() if key not in _FLEETING_FACTS}


def _artifact(document: Mapping[str, Any]) -> dict[str, Any]:
    artifact = document.get("artifact") or {}
    return {key: artifact[key] for key in _KEPT_OF_ARTIFACT if key in artifact}


def _short(value: Any) -> Any:
    """Seven digits of a figure: the raw samples beside it have them all."""
    return float(f"{value:.7g}") if isinstance(value, float) else value


def _series(documents: Sequence[Mapping[str, Any]], store: Store, most: int) -> tuple[dict[str, Any], int]:
    """All raw series, and how many runs had to be thinned to stay below `most` samples."""
    ids = [document["result_id"] for document in documents]
    samples = store.samples_of(ids, SAMPLES)
    steps = thinning([len(samples.get(name, ())) for name in ids], most)
    sustained = [document["result_id"] for document in documents if document.get("mode") == _SUSTAINED]
    starts = store.samples_of(sustained, "starts_ns")
    extra = {kind: store.samples_of(sustained, kind) for kind in _EXTRA_SERIES}
    writer = SeriesWriter()
    for row, (name, every) in enumerate(zip(ids, steps, strict=True)):
        if name in samples:
            writer.add(row, SAMPLES, samples[name][::every], every=every)
        if name not in starts:
            continue
        writer.add(row, "starts_ns", starts[name][::every], every=every, steps=True)
        for kind in _EXTRA_SERIES:
            if name in extra[kind]:
                writer.add(row, kind, extra[kind][name], steps=kind.endswith("_t_ns"))
    return writer.document(), sum(every > 1 for every in steps)


def _head(sweep: Mapping[str, Any], plan: Mapping[str, Any] | None) -> dict[str, Any]:
    kept = ("id", "name", "started_at", "status", "counts", "notes")
    return {**{key: sweep[key] for key in kept}, "file": sweep["plan"], "plan": plan}


def _missing(sweep: Mapping[str, Any], documents: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Jobs without a result and cells that were left out, each with its reason, by the names of results."""
    by_id = {document["result_id"]: document for document in documents}
    names: dict[str, str] = {}
    threads: dict[str, int | None] = {}
    for job in sweep["jobs"]:
        result = by_id.get(job["result_id"])
        if result is not None:
            names[job["model"]] = result["model"]["name"]
            if job["threads"] is None:
                threads[job["device"]] = result.get("threads")  # what "the device's own" is

    def cell(found: Mapping[str, Any]) -> dict[str, Any]:
        keys = ("device", "runtime", "precision", "accelerator", "threads", "mode")
        model = names.get(found["model"], found["model"].removeprefix("zoo:"))
        own = {} if found["threads"] is not None else {"threads": threads.get(found["device"])}
        return {"model": model, **{key: found[key] for key in keys}, **own}

    missing = []
    for job in sweep["jobs"]:
        if job["status"] == "ok":
            continue
        error = job["error"] or {}
        missing.append(
            {
                **cell(job),
                "repeat": job["repeat"],
                "state": job["status"],
                "kind": error.get("kind", ""),
                "reason": error.get("message", "not run yet"),
                "hint": error.get("hint", "") or f"edgeflow sweep --resume {sweep['id']}",
                "attempts": job["attempts"],
            }
        )
    for left in sweep["dropped"]:
        missing.append(
            {
                **cell(left), "repeat": None, "state": "left out", "kind": "", "reason": left["reason"],
                "hint": "", "attempts": 0,
            }
        )  # fmt: skip
    return missing
