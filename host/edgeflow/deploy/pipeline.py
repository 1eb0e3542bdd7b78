"""`deploy` and `run`: resolve, preflight, convert, provision, verify on the device, measure, store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from edgeflow.agentlink import jobs
from edgeflow.agentlink.provision import Transfer, install_agent, push_artifact
from edgeflow.agentlink.prune import prune
from edgeflow.agentlink.reattach import Reattaching
from edgeflow.agentlink.runtimes import provide_runtime
from edgeflow.bench.conditions import conditions_of
from edgeflow.bench.plan import plan_for
from edgeflow.bench.stats import summarize
from edgeflow.bench.verdict import judge
from edgeflow.config.devices import load_fleet
from edgeflow.deploy import conversion, preflight
from edgeflow.deploy.energy import measure_energy
from edgeflow.deploy.gate import device_verdict, first_answer
from edgeflow.deploy.resolve import resolve
from edgeflow.deploy.result import DeployResult, Evidence, document_of, series_of
from edgeflow.devices.device import open_device
from edgeflow.errors import NumericsError
from edgeflow.inputs.samples import gate_samples
from edgeflow.store import Store, new_result_id

if TYPE_CHECKING:
    from edgeflow.agentlink.session import Calls
    from edgeflow.config.devices import DeviceSpec
    from edgeflow.deploy.request import DeployRequest
    from edgeflow.deploy.resolve import ResolvedModel
    from edgeflow.devices.device import Device
    from edgeflow.inputs.samples import Sample
    from edgeflow.progress import Progress
    from edgeflow.workspace import Workspace
    from edgeflow_converters.base import Artifact
    from edgeflow_converters.tensors import Tensors


@dataclass(frozen=True, slots=True)
class Deployed:
    """An artifact on a device, with an open session, ready for jobs."""

    device: Device
    session: Calls
    artifact: Artifact
    spec: jobs.JobSpec
    transfer: Transfer


def deploy(request: DeployRequest, workspace: Workspace, progress: Progress) -> DeployResult:
    """Converts a model, runs it on a device, checks its answers there, measures it and stores the result.

    Raises UsageError, DeviceError, ConversionError, NumericsError (outputs disagree on the device; nothing
    is measured), ToolMissingError, AgentError.
    """
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    preflight.check_request(request)
    conversion.check_target(request.runtime, request.precision)
    plan = plan_for(request.mode, budget_s=request.budget_s)
    device_spec = _device_of(request, workspace)
    workspace.ensure_home()
    with Store.open(workspace.store_path) as store:
        model = resolve(request.model, workspace, progress)
        samples = gate_samples(model.recipe)
        with deployed(request, device_spec, model, samples, workspace, progress) as here:
            where = f"{model.name} on {device_spec.name}"
            progress.step(f"verify {where}")
            reference = conversion.reference_outputs(model, here.artifact, samples, workspace)
            outputs = jobs.infer(
                here.session, here.spec, here.artifact, [sample.tensors for sample in samples]
            )
            verdict = device_verdict(model, reference, outputs, request.precision)
            if not verdict.passed:
                raise NumericsError(
                    f"{device_spec.name}: {model.name} with {request.runtime} {request.precision} does not "
                    f"compute what ONNX Runtime does: {verdict.reasons[0]}",
                    hint="the same artifact passed on this host, so look at the device's runtime build",
                    detail="\n".join(verdict.reasons),
                )
            answer = first_answer(model, samples, outputs)
            progress.step(f"measure memory of {where}")
            memory = jobs.memory(here.session, here.spec, here.artifact, samples[0].tensors)
            progress.step(f"measure {where} ({request.mode})")
            bench = jobs.bench(
                here.session,
                here.spec,
                here.artifact,
                samples[0].tensors,
                plan,
                on_progress=lambda phase, done, total: progress.update(done, total),
            )
            if here.device.facts.power_sources:
                progress.step(f"measure energy of {where}")
            energy = measure_energy(
                here.session,
                here.spec,
                here.artifact,
                samples[0].tensors,
                here.device.facts,
                mode=request.mode,
                budget_s=request.budget_s,
                on_progress=lambda phase, done, total: progress.update(done, total),
            )
        summary = summarize(bench.samples_ns)
        facts = here.device.facts
        conditions = conditions_of(bench.sampling, zone_types=facts.thermal_zones, cpus=bench.affinity)
        evidence = Evidence(
            result_id=new_result_id(),
            started_at=started_at,
            mode=request.mode,
            device=device_spec,
            facts=facts,
            hello=here.session.hello,
            model=model,
            artifact=here.artifact,
            spec=here.spec,
            precision=request.precision,
            answer=answer,
            verdict=verdict,
            bench=bench,
            summary=summary,
            conditions=conditions,
            memory=memory,
            energy=energy,
            validity=judge(
                summary,
                conditions,
                plan=plan,
                emulated=facts.emulated,
                threads=here.spec.threads,
                cores=len(bench.affinity) if bench.affinity is not None else facts.cores,
                numerics_pass=verdict.passed,
                wrong_answer=answer.complaint if answer else "",
            ),
            transfer=here.transfer,
        )
        document = document_of(evidence)
        store.add(document, series_of(bench, energy))
    return DeployResult(document)


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
    preflight.check_request(request)
    conversion.check_target(request.runtime, request.precision)
    device_spec = _device_of(request, workspace)
    workspace.ensure_home()
    samples = gate_samples(model.recipe)
    with deployed(request, device_spec, model, samples, workspace, progress) as here:
        progress.step(f"run {model.name} on {device_spec.name}")
        return jobs.infer(here.session, here.spec, here.artifact, [inputs])[0]


@contextmanager
def deployed(
    request: DeployRequest,
    device_spec: DeviceSpec,
    model: ResolvedModel,
    samples: Sequence[Sample],
    workspace: Workspace,
    progress: Progress,
) -> Iterator[Deployed]:
    """The artifact of `model` on the device with an open session; both are let go of at the end."""
    progress.step(f"probe {device_spec.name}")
    with open_device(device_spec, workspace.home) as device:
        preflight.check_device(
            request,
            device.facts,
            source_bytes=model.source.stat().st_size,
            allowed=device_spec.runtimes,
        )
        preflight.check_runtime(request.runtime, device)
        artifact = conversion.make_artifact(
            model, request.runtime, request.precision, samples, workspace, progress
        )
        progress.step(f"push to {device_spec.name}")
        agent, agent_transfer = install_agent(device, workspace)
        with Reattaching(agent, workspace.home, progress) as session:
            site, site_transfer = provide_runtime(
                session, agent, device, request.runtime, workspace, progress
            )
            transfer = agent_transfer + site_transfer + push_artifact(session, agent, artifact, progress)
            if transfer.pushed_bytes:
                prune(agent, progress)
            spec = jobs.JobSpec.of(
                artifact,
                threads=request.threads or device_spec.threads or 1,
                affinity=request.affinity,
                accelerator=request.accelerator,
                site=site,
            )
            yield Deployed(device, session, artifact, spec, transfer)


def _device_of(request: DeployRequest, workspace: Workspace) -> DeviceSpec:
    return load_fleet(workspace.devices_file, workspace.cwd, workspace.home).get(request.device)
