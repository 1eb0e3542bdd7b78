"""`deploy` and `run`: resolve, place on the device, verify there, measure, store."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from edgeflow.agentlink import jobs
from edgeflow.bench.conditions import conditions_of
from edgeflow.bench.plan import BenchPlan, plan_for
from edgeflow.bench.stats import summarize
from edgeflow.bench.verdict import judge
from edgeflow.config.devices import load_fleet
from edgeflow.deploy import conversion, null_model, preflight
from edgeflow.deploy.energy import measure_energy
from edgeflow.deploy.gate import device_verdict, first_answer
from edgeflow.deploy.placing import Placed, placed
from edgeflow.deploy.resolve import resolve
from edgeflow.deploy.result import DeployResult, Evidence, Measured, document_of, series_of
from edgeflow.errors import NumericsError
from edgeflow.store import Store, new_result_id
from edgeflow.toolchain.targets import NULL

if TYPE_CHECKING:
    from edgeflow.config.devices import DeviceSpec
    from edgeflow.deploy.request import DeployRequest
    from edgeflow.deploy.resolve import ResolvedModel
    from edgeflow.progress import Progress
    from edgeflow.workspace import Workspace
    from edgeflow_converters.check import Verdict
    from edgeflow_converters.tensors import Tensors


def deploy(request: DeployRequest, workspace: Workspace, progress: Progress) -> DeployResult:
    """Converts a model, runs it on a device, checks its answers there, measures it and stores the result.

    Raises UsageError, DeviceError, ConversionError, NumericsError (outputs disagree on the device; nothing
    is measured), ToolMissingError, AgentError.
    """
    started = Started.now()
    plan_for(request.mode, budget_s=request.budget_s)
    device_spec = checked(request, workspace)
    with Store.open(workspace.store_path) as store:
        model = resolve_for(request, workspace, progress)
        with placed(request, device_spec, model, workspace, progress) as here:
            reference = conversion.reference_outputs(model, here.artifact, here.samples, workspace)
            document, series = measured(request, started, model, here, reference, progress)
        store.add(document, series)
    return DeployResult(document)


@dataclass(frozen=True, slots=True)
class Started:
    """When a deploy began: for people, and for the time that it took."""

    at: str
    clock: float

    @classmethod
    def now(cls) -> Started:
        return cls(datetime.now(UTC).isoformat(timespec="milliseconds"), time.monotonic())

    @property
    def elapsed_s(self) -> float:
        return round(time.monotonic() - self.clock, 3)


def resolve_for(request: DeployRequest, workspace: Workspace, progress: Progress) -> ResolvedModel:
    """The model asked for; for the null runtime, one whose outputs are its inputs. Raises as `resolve`."""
    model = resolve(request.model, workspace, progress, trust=request.trust, shapes=request.shapes)
    return null_model.echo_of(model) if request.runtime == NULL else model


def measured(
    request: DeployRequest,
    started: Started,
    model: ResolvedModel,
    here: Placed,
    reference: Sequence[Tensors],
    progress: Progress,
) -> tuple[dict[str, Any], dict[str, tuple[int, ...]]]:
    """The document and the raw series of a model that was placed: verified there, then measured.

    Raises NumericsError (nothing was measured), DeviceError, AgentError.
    """
    plan = plan_for(request.mode, budget_s=request.budget_s)
    where = f"{model.name} on {request.device}"
    progress.step(f"verify {where}")
    outputs = jobs.infer(here.session, here.spec, here.artifact, [sample.tensors for sample in here.samples])
    verdict = _verified(request, model, outputs, reference)
    figures = _measure(request, here, plan, where, progress)
    evidence = _judged(request, plan, started, model, here, outputs, verdict, figures)
    return document_of(evidence), series_of(evidence)


def run(
    request: DeployRequest,
    model: ResolvedModel,
    inputs: Tensors,
    workspace: Workspace,
    progress: Progress,
) -> Tensors:
    """Outputs of one inference on the device for `inputs`, in the source model's names and layouts.

    The artifact is the one that `deploy` uses, verified by the recipe's samples. Raises as `deploy` does.
    """
    device_spec = checked(request, workspace)
    with placed(request, device_spec, model, workspace, progress) as here:
        progress.step(f"run {model.name} on {device_spec.name}")
        return jobs.infer(here.session, here.spec, here.artifact, [inputs])[0]


def checked(request: DeployRequest, workspace: Workspace) -> DeviceSpec:
    """The device asked for, after every check that needs neither it nor the model."""
    preflight.check_request(request)
    conversion.check_target(request.runtime, request.precision)
    device_spec = load_fleet(workspace.devices_file, workspace.cwd, workspace.home).get(request.device)
    workspace.ensure_home()
    return device_spec


def _verified(
    request: DeployRequest,
    model: ResolvedModel,
    outputs: Sequence[Tensors],
    reference: Sequence[Tensors],
) -> Verdict:
    """The device's own verdict on its outputs. Raises NumericsError when it is not a pass."""
    verdict = device_verdict(model, reference, outputs, request.precision)
    if not verdict.passed:
        raise NumericsError(
            f"{request.device}: {model.name} with {request.runtime} {request.precision} does not "
            f"compute what ONNX Runtime does: {verdict.reasons[0]}",
            hint="the same artifact passed on this host, so look at the device's runtime build",
            detail="\n".join(verdict.reasons),
        )
    return verdict


def _measure(
    request: DeployRequest, here: Placed, plan: BenchPlan, where: str, progress: Progress
) -> Measured:
    """Memory, latency and energy, each in a worker of its own, with the first sample as input."""
    sample = here.samples[0].tensors

    def on_progress(phase: str, done: float, total: float | None) -> None:
        del phase
        progress.update(done, total)

    progress.step(f"measure memory of {where}")
    memory = jobs.memory(here.session, here.spec, here.artifact, sample)
    progress.step(f"measure {where} ({request.mode})")
    bench = jobs.bench(here.session, here.spec, here.artifact, sample, plan, on_progress=on_progress)
    if here.device.facts.power_sources:
        progress.step(f"measure energy of {where}")
    energy = measure_energy(
        here.session,
        here.spec,
        here.artifact,
        sample,
        here.device.facts,
        mode=request.mode,
        budget_s=request.budget_s,
        on_progress=on_progress,
    )
    return Measured(memory, bench, energy)


def _judged(
    request: DeployRequest,
    plan: BenchPlan,
    started: Started,
    model: ResolvedModel,
    here: Placed,
    outputs: Sequence[Tensors],
    verdict: Verdict,
    figures: Measured,
) -> Evidence:
    """All that was found out, with the figures and the validity that follow from it."""
    facts, bench = here.device.facts, figures.bench
    summary = summarize(bench.samples_ns)
    conditions = conditions_of(bench.sampling, zone_types=facts.thermal_zones, cpus=bench.affinity)
    answer = first_answer(model, here.samples, outputs)
    validity = judge(
        summary,
        conditions,
        plan=plan,
        emulated=facts.emulated or bool(bench.runtime["options"].get("emulated")),
        threads=here.spec.threads,
        cores=len(bench.affinity) if bench.affinity is not None else facts.cores,
        numerics_pass=verdict.passed,
        wrong_answer=answer.complaint if answer else "",
    )
    return Evidence(
        result_id=new_result_id(),
        started_at=started.at,
        elapsed_s=started.elapsed_s,
        request=request,
        model=model,
        here=here,
        hello=here.session.hello,
        answer=answer,
        verdict=verdict,
        measured=figures,
        summary=summary,
        conditions=conditions,
        validity=validity,
    )
