"""The result document: everything that was measured, under the keys that `--json` promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeflow.agentlink.jobs import BenchOutcome, JobSpec, MemoryOutcome
from edgeflow.agentlink.provision import Transfer
from edgeflow.agentlink.session import Hello
from edgeflow.bench.conditions import Conditions
from edgeflow.bench.stats import LatencySummary
from edgeflow.bench.verdict import Validity
from edgeflow.deploy.energy import EnergyEvidence

if TYPE_CHECKING:
    from edgeflow.config.devices import DeviceSpec
    from edgeflow.deploy.resolve import ResolvedModel
    from edgeflow.inputs.postprocess import Prediction
    from edgeflow.types import DeviceFacts
    from edgeflow_converters.base import Artifact
    from edgeflow_converters.check import Verdict

SCHEMA = "edgeflow.result/1"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said about a real input, on the device, and the right answer where it is known."""

    prediction: Prediction
    expected: str | None
    input: str

    @property
    def complaint(self) -> str:
        """What is wrong with the answer; empty for a right one and where the right one is unknown."""
        if self.expected is None or self.expected == self.prediction.label:
            return ""
        return f"answer '{self.prediction.label}' to {self.input}, whose label is '{self.expected}'"

    def to_json(self) -> dict[str, Any]:
        return {
            "label": self.prediction.label,
            "score": self.prediction.score,
            "expected": self.expected,
            "input": self.input,
        }


@dataclass(frozen=True, slots=True)
class DeployResult:
    """A stored result: its document (schema edgeflow.result/1) with the raw samples."""

    document: Mapping[str, Any]

    @property
    def result_id(self) -> str:
        return str(self.document["result_id"])

    @property
    def validity(self) -> str:
        return str(self.document["validity"]["state"])


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that one deploy found out, before it becomes a document."""

    result_id: str
    started_at: str
    mode: str
    device: DeviceSpec
    facts: DeviceFacts
    hello: Hello
    model: ResolvedModel
    artifact: Artifact
    spec: JobSpec
    precision: str
    answer: Answer | None
    verdict: Verdict
    bench: BenchOutcome
    summary: LatencySummary
    conditions: Conditions
    memory: MemoryOutcome
    energy: EnergyEvidence
    validity: Validity
    transfer: Transfer


def document_of(evidence: Evidence) -> dict[str, Any]:
    """The document of one deploy. `status` is "ok" only when the device's answers passed the gate."""
    runtime = evidence.bench.runtime
    return {
        "schema": SCHEMA,
        "result_id": evidence.result_id,
        "status": "ok" if evidence.verdict.passed else "wrong",
        "started_at": evidence.started_at,
        "mode": evidence.mode,
        "device": {
            "name": evidence.device.name,
            "transport": evidence.device.transport,
            "facts": evidence.facts.to_json(),
        },
        "agent": {
            "kind": evidence.hello.kind,
            "version": evidence.hello.version,
            "build": evidence.hello.build,
            "flags": evidence.hello.flags,
            "carrier": evidence.hello.carrier,
        },
        "runtime": {
            "name": runtime["name"],
            "version": runtime["version"],
            "accelerator": evidence.spec.accelerator,
            "options": runtime["options"],
            "site": evidence.spec.site,  # the wheels that this host brought; null: the device's own
        },
        "precision": {
            "name": evidence.precision,
            "weights": evidence.artifact.weights_dtype,
            "compute": runtime["compute_dtype"],
        },
        "threads": evidence.spec.threads,
        "affinity": None if evidence.bench.affinity is None else list(evidence.bench.affinity),
        "model": {
            "name": evidence.model.name,
            "origin": evidence.model.origin,
            "sha256": evidence.artifact.source_sha256,
            "size_bytes": evidence.model.source.stat().st_size,
        },
        "artifact": {
            "path": str(evidence.artifact.path),
            "key": evidence.artifact.key,
            "size_bytes": evidence.artifact.size_bytes,
            "cached": evidence.artifact.cached,
            "tools": dict(evidence.artifact.tools),
            "notes": list(evidence.artifact.notes),
        },
        "prediction": None if evidence.answer is None else evidence.answer.to_json(),
        "latency_ms": evidence.summary.to_json(),
        "stop": evidence.bench.stop,
        "init_ms": evidence.bench.init_ns / 1e6,
        "first_ms": evidence.bench.first_ns / 1e6,
        "memory": {
            "peak_rss_bytes": evidence.memory.peak_rss_bytes,
            "model_bytes": evidence.memory.model_bytes,
            "runtime_bytes": evidence.memory.runtime_bytes,
            "interpreter_bytes": evidence.memory.interpreter_bytes,
        },
        "energy": evidence.energy.energy.to_json(),
        "conditions": evidence.conditions.to_json(),
        "numerics": evidence.verdict.to_json(),
        "validity": evidence.validity.to_json(),
        "transfer": evidence.transfer.to_json(),
        "samples_ns": list(evidence.bench.samples_ns),
    }


def series_of(bench: BenchOutcome, energy: EnergyEvidence) -> dict[str, tuple[int, ...]]:
    """The raw series that the store keeps beside the document."""
    return {
        "samples_ns": bench.samples_ns,
        "warmup_ns": bench.warmup_ns,
        "starts_ns": bench.starts_ns,
        **energy.series,
    }
