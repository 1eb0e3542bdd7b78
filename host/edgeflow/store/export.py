"""Results as files for other programs: CSV, one flat row each, and JSON, whole with raw samples."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from edgeflow.store.store import SAMPLES, Store

COLUMNS: tuple[tuple[str, str], ...] = (
    ("result_id", "result_id"),
    ("started_at", "started_at"),
    ("status", "status"),
    ("device", "device.name"),
    ("transport", "device.transport"),
    ("device_model", "device.facts.model"),
    ("os", "device.facts.os"),
    ("arch", "device.facts.arch"),
    ("emulated", "device.facts.emulated"),
    ("agent_kind", "agent.kind"),
    ("agent_version", "agent.version"),
    ("agent_build", "agent.build"),
    ("runtime", "runtime.name"),
    ("runtime_version", "runtime.version"),
    ("accelerator", "runtime.accelerator"),
    ("precision", "precision.name"),
    ("weights_dtype", "precision.weights"),
    ("compute_dtype", "precision.compute"),
    ("threads", "threads"),
    ("affinity", "affinity"),
    ("model", "model.name"),
    ("model_sha256", "model.sha256"),
    ("model_size_bytes", "model.size_bytes"),
    ("artifact_size_bytes", "artifact.size_bytes"),
    ("prediction_label", "prediction.label"),
    ("prediction_score", "prediction.score"),
    ("latency_median_ms", "latency_ms.median"),
    ("latency_mad_ms", "latency_ms.mad"),
    ("latency_mean_ms", "latency_ms.mean"),
    ("latency_std_ms", "latency_ms.std"),
    ("latency_min_ms", "latency_ms.min"),
    ("latency_p50_ms", "latency_ms.p50"),
    ("latency_p90_ms", "latency_ms.p90"),
    ("latency_p95_ms", "latency_ms.p95"),
    ("latency_p99_ms", "latency_ms.p99"),
    ("latency_max_ms", "latency_ms.max"),
    ("latency_n", "latency_ms.n"),
    ("latency_ci95_low_ms", "latency_ms.ci95.0"),
    ("latency_ci95_high_ms", "latency_ms.ci95.1"),
    ("init_ms", "init_ms"),
    ("first_ms", "first_ms"),
    ("memory_peak_rss_bytes", "memory.peak_rss_bytes"),
    ("memory_model_bytes", "memory.model_bytes"),
    ("memory_runtime_bytes", "memory.runtime_bytes"),
    ("energy_mj_per_inference", "energy.mj_per_inference"),
    ("energy_uncertainty_mj", "energy.uncertainty_mj"),
    ("energy_source", "energy.source"),
    ("temperature_start_c", "conditions.temperature_c.start"),
    ("temperature_end_c", "conditions.temperature_c.end"),
    ("temperature_max_c", "conditions.temperature_c.max"),
    ("load", "conditions.load"),
    ("other_load", "conditions.other_load"),
    ("throttled", "conditions.throttled"),
    ("numerics_verdict", "numerics.verdict"),
    ("numerics_cosine_min", "numerics.cosine_min"),
    ("numerics_rel_err_max", "numerics.rel_err_max"),
    ("validity", "validity.state"),
    ("validity_reasons", "validity.reasons"),
    ("elapsed_s", "elapsed_s"),
    ("sweep", "sweep.id"),
    ("cell", "sweep.cell"),
    ("repeat", "sweep.repeat"),
)
"""The CSV's columns in order: name, and where in the result document it comes from. Units are in the names;
load is a fraction of all cores. An empty cell: not known, never 0. Lists are joined by "; "."""


def write_csv(documents: Iterable[Mapping[str, Any]], file: TextIO) -> None:
    """Writes a header and one row a document (RFC 4180; open the file with newline="")."""
    writer = csv.writer(file)
    writer.writerow([name for name, _ in COLUMNS])
    for document in documents:
        writer.writerow([_cell(look_up(document, path)) for _, path in COLUMNS])


def write_json(store: Store, ids: Iterable[str], file: TextIO) -> None:
    """Writes `{"schema": "edgeflow.results/1", "results": [...]}`, one result at a time in memory.

    Each is its document with `samples_ns` and, under `series`, every other raw series by kind.
    """
    file.write('{"schema": "edgeflow.results/1", "results": [')
    for index, result_id in enumerate(ids):
        series = store.series(result_id)
        document = {**store.get(result_id), SAMPLES: series.pop(SAMPLES, []), "series": series}
        file.write(",\n" if index else "\n")
        json.dump(document, file, ensure_ascii=False, allow_nan=False)
    file.write("\n]}\n")


def look_up(document: Any, path: str) -> Any:
    """The value at a dotted path of a document; None where there is none."""
    for key in path.split("."):
        if isinstance(document, Mapping):
            document = document.get(key)
        elif isinstance(document, list) and key.isdigit() and int(key) < len(document):
            document = document[int(key)]
        else:
            return None
    return document


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "; ".join(str(item) for item in value)
    return str(value)
