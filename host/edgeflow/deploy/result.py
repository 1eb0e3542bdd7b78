"""The result document: everything that was measured, under the keys that `--json` promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeflow.agentlink.jobs import BenchOutcome, MemoryOutcome
from edgeflow.agentlink.session import Hello
from edgeflow.bench.conditions import Conditions
from edgeflow.bench.stats import LatencySummary
from edgeflow.bench.verdict import Validity
from edgeflow.deploy.energy import EnergyEvidence

if TYPE_CHECKING:
    from edgeflow.deploy.placing import Placed
    from edgeflow.deploy.request import DeployRequest
    from edgeflow.deploy.resolve import ResolvedModel
    from edgeflow.inputs.postprocess import Prediction
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
class Measured:
    """What the measuring jobs of one deploy brought back."""

    memory: MemoryOutcome
    bench: BenchOutcome
    energy: EnergyEvidence


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that one deploy found out, before it becomes a document."""

    result_id: str
    started_at: str
    elapsed_s: float
    request: DeployRequest
    model: ResolvedModel
    here: Placed
    hello: Hello
    answer: Answer | None
    verdict: Verdict
    measured: Measured
    summary: LatencySummary
    conditions: Conditions
    validity: Validity


def document_of(evidence: Evidence) -> dict[str, Any]:
    """The document of one deploy. `status` is "ok" only when the device's answers passed the gate."""
    request, here, measured = evidence.request, evidence.here, evidence.measured
    artifact, spec, bench = here.artifact, here.spec, measured.bench
    return {
        "schema": SCHEMA,
        "result_id": evidence.result_id,
        "status": "ok" if evidence.verdict.passed else "wrong",
        "started_at": evidence.started_at,
        "elapsed_s": evidence.elapsed_s,
        "mode": request.mode,
        # What repeating it takes besides the keys below.
        "request": {"model": request.model, "budget_s": request.budget_s, "agent": request.agent},
        "device": {
            "name": here.device.spec.name,
            "transport": here.device.spec.transport,
            "facts": here.device.facts.to_json(),
        },
        "agent": {
            "kind": evidence.hello.kind,
            "version": evidence.hello.version,
            "build": evidence.hello.build,
            "flags": evidence.hello.flags,
            "carrier": evidence.hello.carrier,
        },
        "runtime": {
            "name": bench.runtime["name"],
            "version": bench.runtime["version"],
            "accelerator": spec.accelerator,
            "options": bench.runtime["options"],
            "layers": here.layers,  # "common": a native worker that lacks some; null: there is no choice
            "site": spec.site,  # the wheels that this host brought; null: the device's own
        },
        "precision": {
            "name": request.precision,
            "weights": artifact.weights_dtype,
            "compute": bench.runtime["compute_dtype"],
        },
        "threads": spec.threads,
        "affinity": None if bench.affinity is None else list(bench.affinity),
        "governor": bench.governor,
        "model": {
            "name": evidence.model.name,
            "origin": evidence.model.origin,
            "sha256": artifact.source_sha256,
            "size_bytes": evidence.model.size_bytes,
            "source": None if artifact.origin is None else dict(artifact.origin),
        },
        "artifact": {
            "path": str(artifact.path),
            "key": artifact.key,
            "size_bytes": artifact.size_bytes,
            "cached": artifact.cached,
            "tools": dict(artifact.tools),
            "needs": None if artifact.needs is None else artifact.needs.to_json(),
            "notes": list(artifact.notes),
        },
        "prediction": None if evidence.answer is None else evidence.answer.to_json(),
        "latency_ms": evidence.summary.to_json(),
        "stop": bench.stop,
        "init_ms": bench.init_ns / 1e6,
        "first_ms": bench.first_ns / 1e6,
        "memory": {
            "peak_rss_bytes": measured.memory.peak_rss_bytes,
            "model_bytes": measured.memory.model_bytes,
            "runtime_bytes": measured.memory.runtime_bytes,
            "interpreter_bytes": measured.memory.interpreter_bytes,
        },
        "energy": measured.energy.energy.to_json(),
        "conditions": evidence.conditions.to_json(),
        "numerics": evidence.verdict.to_json(),
        "validity": evidence.validity.to_json(),
        "transfer": here.transfer.to_json(),
        "samples_ns": list(bench.samples_ns),
    }


def series_of(evidence: Evidence) -> dict[str, tuple[int, ...]]:
    """The raw series that the store keeps beside the document."""
    bench = evidence.measured.bench
    return {
        "samples_ns": bench.samples_ns,
        "warmup_ns": bench.warmup_ns,
        "starts_ns": bench.starts_ns,
        **evidence.conditions.series,
        **evidence.measured.energy.series,
    }
