"""Brings a model to a device: probe, preflight, convert, push, and an open session, ready for jobs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from edgeflow.agentlink import jobs
from edgeflow.agentlink.choice import choose_agent, tell
from edgeflow.agentlink.jobs import JobSpec
from edgeflow.agentlink.provision import Transfer, install_agent, push_artifact, started_core
from edgeflow.agentlink.prune import prune
from edgeflow.agentlink.reattach import Reattaching
from edgeflow.agentlink.runtimes import Provided, provide_runtime
from edgeflow.deploy import conversion, preflight
from edgeflow.deploy.for_device import for_device
from edgeflow.devices.device import open_device
from edgeflow.inputs.samples import samples_for
from edgeflow.toolchain.targets import NULL

if TYPE_CHECKING:
    from edgeflow.agentlink.session import Calls
    from edgeflow.config.devices import DeviceSpec
    from edgeflow.deploy.request import DeployRequest
    from edgeflow.deploy.resolve import ResolvedModel
    from edgeflow.devices.device import Device
    from edgeflow.devices.transports.base import Channel
    from edgeflow.inputs.samples import Sample
    from edgeflow.progress import Progress
    from edgeflow.workspace import Workspace
    from edgeflow_converters.base import Artifact


@dataclass(frozen=True, slots=True)
class Placed:
    """A verified artifact on a device, the samples it is judged by, and a session ready for jobs."""

    device: Device
    session: Calls
    samples: Sequence[Sample]
    artifact: Artifact
    spec: JobSpec
    transfer: Transfer
    layers: str | None = None  # of the native worker, where it is built with all of them or fewer


class _Connected(NamedTuple):
    """A session, and the runtime that was brought for it."""

    session: Calls
    runtime: Provided


@contextmanager
def placed(
    request: DeployRequest,
    device_spec: DeviceSpec,
    model: ResolvedModel,
    workspace: Workspace,
    progress: Progress,
) -> Iterator[Placed]:
    """The artifact of `model` on the device with an open session; both are let go of at the end.

    What need not wait for each other does not: the agent starts while samples are decoded and the artifact is
    looked up or made.
    """
    progress.step(f"probe {device_spec.name}")
    with ThreadPoolExecutor(1, "samples") as background, ExitStack() as held:
        device = held.enter_context(open_device(device_spec, workspace.home))
        if device.which:
            progress.note(device.which)
        preflight.check_device(
            request,
            device.facts,
            source_bytes=model.size_bytes,
            allowed=device_spec.runtimes,
        )
        choice = choose_agent(device, request.runtime, workspace, progress, wanted=request.agent)
        tell(choice, device, request.runtime, progress)
        native = choice.products
        if native is not None and request.runtime != NULL:
            native.worker(request.runtime)  # what is slow comes before anything is put on the device
        agent, transfer = install_agent(device, workspace, native)
        threads = request.threads or device_spec.threads or 1

        def connect(core: Channel | None) -> _Connected:
            session = held.enter_context(Reattaching(agent, workspace.home, progress, core=core))
            provided = provide_runtime(session, agent, device, request.runtime, workspace, progress, native)
            return _Connected(session, provided)

        # A core of our own keeps nobody waiting: its worker imports the runtime while the artifact is looked
        # up or made. A daemon is not claimed before the slow work is done.
        core = held.enter_context(started_core(agent))
        decoding = background.submit(samples_for, model.recipe, request.precision)
        connected = None if core is None else connect(core)
        if connected is not None:
            jobs.prepare(
                connected.session,
                request.runtime,
                threads=threads,
                affinity=request.affinity,
                site=connected.runtime.site,
            )
        samples = decoding.result()
        artifact = conversion.make_artifact(
            model, request.runtime, request.precision, samples, workspace, progress, request.options
        )
        artifact = for_device(artifact, device_spec.name, device.facts)
        samples = conversion.verified_samples(artifact, samples)
        layers = None if native is None else native.layers(request.runtime)
        if native is not None:
            preflight.check_layers(request, artifact, layers, native.target.name)
        session, runtime = connected or connect(None)
        unknown = preflight.check_needs(request, artifact, device.facts, runtime)
        if unknown:
            progress.note(unknown)
        progress.step(f"push to {device_spec.name}")
        transfer += runtime.transfer + push_artifact(session, agent, artifact, progress)
        if transfer.pushed_bytes:
            prune(agent, progress)
        spec = JobSpec.of(
            artifact,
            threads=threads,
            affinity=request.affinity,
            accelerator=request.accelerator,
            site=runtime.site,
            governor=request.governor or device_spec.governor,
            native=native is not None,
        )
        yield Placed(device, session, samples, artifact, spec, transfer, layers)
