"""The work of a sweep as the deploy pipeline does it: convert once, measure on each device, commit."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeflow.deploy import conversion, null_model
from edgeflow.deploy.held import Prepared
from edgeflow.deploy.request import DeployRequest
from edgeflow.deploy.resolve import resolve
from edgeflow.errors import UsageError
from edgeflow.inputs.samples import gate_samples
from edgeflow.sweep.crew import Outcome, SweepBroken
from edgeflow.toolchain.targets import NULL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeflow.config.plan import SweepPlan
    from edgeflow.deploy.resolve import ResolvedModel
    from edgeflow.inputs.samples import Sample
    from edgeflow.progress import Progress
    from edgeflow.store import Store, SweepBook
    from edgeflow.sweep.hands import Hands
    from edgeflow.sweep.matrix import ConversionKey
    from edgeflow.sweep.scheduler import Job
    from edgeflow.workspace import Workspace

_THROTTLED_MARGIN_C = 2.0  # above the temperature that a throttled job began at


@dataclass(frozen=True, slots=True)
class _Model:
    """A model of the plan with its inputs; the null runtime has one of its own."""

    resolved: ResolvedModel
    samples: list[Sample]


class Stages:
    """Executor of one sweep (crew.Executor): converts here, has `hands` measure, commits here."""

    def __init__(
        self,
        sweep_id: str,
        plan: SweepPlan,
        hands: Hands,
        workspace: Workspace,
        store: Store,
        book: SweepBook,
        *,
        null_options: Mapping[str, Any] | None = None,
    ) -> None:
        """`null_options` are runtime options of null jobs: how long they take, for benchmarks."""
        self._sweep_id = sweep_id
        self._plan = plan
        self._hands = hands
        self._workspace = workspace
        self._store = store
        self._book = book
        self._null_options = dict(null_options or {})
        self._models: dict[tuple[str, bool], _Model] = {}
        self._models_lock = threading.Lock()
        self._prepared: dict[ConversionKey, Prepared] = {}

    def convert(self, key: ConversionKey, progress: Progress) -> dict[str, Any]:
        """Raises UsageError, ConversionError, NumericsError, ToolMissingError."""
        began = time.monotonic()
        conversion.check_target(key.runtime, key.precision)
        model = self._model(key, progress)
        artifact = conversion.make_artifact(
            model.resolved, key.runtime, key.precision, model.samples, self._workspace, progress
        )
        if key.runtime == NULL and self._null_options:
            artifact = null_model.with_options(artifact, self._null_options)
        known = self._book.note_model(self._sweep_id, key.model, artifact.source_sha256)
        if known != artifact.source_sha256:
            raise UsageError(
                f"{key.model}: is another model than when this sweep began (SHA-256 {known[:12]}…, now "
                f"{artifact.source_sha256[:12]}…)",
                hint="begin a new sweep, or put the old file back and resume with --retry-failed",
            )
        progress.step(f"reference of {model.resolved.name}")
        samples = conversion.verified_samples(artifact, model.samples)
        reference = conversion.reference_outputs(model.resolved, artifact, samples, self._workspace)
        self._prepared[key] = Prepared(model.resolved, samples, artifact, reference)
        return {
            "cached": artifact.cached,
            "size_bytes": artifact.size_bytes,
            "seconds": round(time.monotonic() - began, 3),
        }

    def run(self, job: Job, progress: Progress) -> Outcome:
        """Raises as `deploy` does; SweepBroken when the store cannot take the result."""
        cell, prepared = job.cell, self._prepared[job.cell.conversion]
        request = DeployRequest(
            model=self._plan.model_argument(cell.model),
            device=job.device,
            runtime=cell.runtime,
            precision=cell.precision,
            accelerator=cell.accelerator,
            threads=cell.threads,
            mode=cell.mode,
            budget_s=self._plan.budget_s,
            agent=self._plan.agent,
        )
        document, series = self._hands.measure(request, prepared, progress)
        document["sweep"] = {"id": self._sweep_id, "cell": cell.id, "repeat": job.repeat}
        if job.device != cell.device:
            document["sweep"]["stands_in_for"] = cell.device
        result_id = document["result_id"]
        commit = self._book.finisher(
            self._sweep_id, cell.id, job.repeat,
            device=job.device, attempts=job.attempts + 1, result_id=result_id,
        )  # fmt: skip
        try:
            self._store.add(document, series, also=commit)
        except Exception as error:
            raise SweepBroken(error) from error
        return Outcome(result_id, _figures(document), _cool_to_c(document))

    def reached(self, device: str) -> bool:
        return self._hands.reached(device)

    def temperature_c(self, device: str) -> float | None:
        return self._hands.temperature_c(device)

    def settle(self, job: Job, status: str) -> None:
        self._book.settle(
            self._sweep_id,
            job.cell.id,
            job.repeat,
            status=status,
            device=job.device,
            attempts=job.attempts,
            error=None if job.fault is None else job.fault.to_json(),
        )

    def forget(self, device: str) -> None:
        self._hands.forget(device)

    def interrupt(self) -> None:
        self._hands.interrupt()

    def _model(self, key: ConversionKey, progress: Progress) -> _Model:
        """Resolved and its inputs decoded once, whatever number of conversions want it."""
        at = (key.model, key.runtime == NULL)
        with self._models_lock:
            if at not in self._models:
                resolved = resolve(self._plan.model_argument(key.model), self._workspace, progress)
                if key.runtime == NULL:
                    resolved = null_model.echo_of(resolved)
                self._models[at] = _Model(resolved, gate_samples(resolved.recipe))
            return self._models[at]


def _figures(document: Mapping[str, Any]) -> dict[str, Any]:
    """What watchers show of a result."""
    temperature = document["conditions"]["temperature_c"]
    return {
        "median_ms": document["latency_ms"]["median"],
        "validity": document["validity"]["state"],
        "reasons": document["validity"]["reasons"],
        "temperature_c": temperature["end"],
        "seconds": document["elapsed_s"],
    }


def _cool_to_c(document: Mapping[str, Any]) -> float | None:
    """What a throttled device is to cool down to before its next job."""
    conditions = document["conditions"]
    start = conditions["temperature_c"]["start"]
    if not conditions["throttled"] or start is None:
        return None
    return float(start) + _THROTTLED_MARGIN_C
