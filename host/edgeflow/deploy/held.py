"""A device that is held open for one deploy after another: probed once, its agent kept between them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgeflow.agentlink import jobs
from edgeflow.agentlink.choice import choose_agent, tell
from edgeflow.agentlink.jobs import JobSpec
from edgeflow.agentlink.provision import Transfer, install_agent, push_artifact
from edgeflow.agentlink.prune import prune
from edgeflow.agentlink.reattach import Reattaching
from edgeflow.agentlink.runtimes import Provided, provide_runtime
from edgeflow.bench.conditions import hottest_cpu_zone
from edgeflow.deploy import preflight
from edgeflow.deploy.for_device import for_device
from edgeflow.deploy.placing import Placed
from edgeflow.devices.device import open_device
from edgeflow.errors import DeviceError, EdgeflowError
from edgeflow.progress import Silent
from edgeflow.toolchain.targets import NULL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeflow.agentlink.provision import InstalledAgent
    from edgeflow.config.devices import AgentKind, DeviceSpec
    from edgeflow.deploy.request import DeployRequest
    from edgeflow.deploy.resolve import ResolvedModel
    from edgeflow.devices.device import Device
    from edgeflow.inputs.samples import Sample
    from edgeflow.progress import Progress
    from edgeflow.toolchain.products import Products
    from edgeflow.workspace import Workspace
    from edgeflow_converters.base import Artifact
    from edgeflow_converters.tensors import Tensors

_ANSWER_S = 15.0
# All zones in one command: "0 cpu-thermal 48312" a line.
_TEMPERATURES = (
    "for z in /sys/class/thermal/thermal_zone*; do "
    'read -r k <"$z/type" && read -r t <"$z/temp" && echo "$k $t"; done 2>/dev/null; true'
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A verified artifact with all that judges it on a device; every device takes the same."""

    model: ResolvedModel
    samples: Sequence[Sample]
    artifact: Artifact
    reference: Sequence[Tensors]


class _Relay:
    """Progress of the deploy that is on, for what outlives a deploy."""

    def __init__(self) -> None:
        self.target: Progress = Silent()

    def step(self, text: str) -> None:
        self.target.step(text)

    def update(self, done: float, total: float | None) -> None:
        self.target.update(done, total)

    def note(self, text: str) -> None:
        self.target.note(text)


@dataclass(slots=True)
class _Connection:
    """A session with one agent, and what was brought for it."""

    agent: InstalledAgent
    session: Reattaching
    held: ExitStack
    native: Products | None
    runtimes: dict[str, Provided] = field(default_factory=dict)  # by name
    pushed: set[str] = field(default_factory=set)  # keys of artifacts


class HeldDevice:
    """One device of a sweep. Used by one thread; nothing is opened before it is needed.

    A one-shot agent is kept; a daemon is let go of after each deploy, so that others may use it in between.
    After an error of a deploy all is closed: the next one begins anew.
    """

    def __init__(self, spec: DeviceSpec, workspace: Workspace) -> None:
        self._spec = spec
        self._workspace = workspace
        self._relay = _Relay()
        self._device: Device | None = None
        self._connections: dict[str, _Connection] = {}  # by the agent's build
        self._of_runtime: dict[tuple[str, AgentKind | None], _Connection] = {}

    @contextmanager
    def placed(self, request: DeployRequest, prepared: Prepared, progress: Progress) -> Iterator[Placed]:
        """The artifact on the device, a session ready for jobs.

        Raises DeviceError, AgentError, ToolMissingError, UsageError.
        """
        self._relay.target = progress
        try:
            yield self._place(request, prepared)
        except BaseException as error:
            self._close(type(error), error)
            raise
        else:
            self._let_daemons_go()
        finally:
            self._relay.target = Silent()

    def reached(self) -> bool:
        """Whether the device answers at all, asked now."""
        try:
            if self._device is None:
                self._device = open_device(self._spec, self._workspace.home)
            return self._device.transport.run(["true"], timeout_s=_ANSWER_S).exit_code == 0
        except EdgeflowError:
            return False

    def temperature_c(self) -> float | None:
        """Of its hottest CPU zone now; None where it tells none, or cannot be asked."""
        try:
            if self._device is None:
                self._device = open_device(self._spec, self._workspace.home)
            told = self._device.transport.run(["sh", "-c", _TEMPERATURES], timeout_s=_ANSWER_S)
        except EdgeflowError:
            return None
        zones = (line.rsplit(" ", 1) for line in told.text.splitlines() if " " in line)
        return hottest_cpu_zone([(name, value) for name, value in zones])

    def close(self) -> None:
        """Lets go of the device. May be called twice."""
        self._close(None, None)

    def _place(self, request: DeployRequest, prepared: Prepared) -> Placed:
        spec, relay, artifact = self._spec, self._relay, prepared.artifact
        if self._device is None:
            relay.step(f"probe {spec.name}")
            self._device = open_device(spec, self._workspace.home)
        device = self._device
        preflight.check_device(
            request,
            device.facts,
            source_bytes=prepared.model.size_bytes,
            allowed=spec.runtimes,
        )
        artifact = for_device(artifact, spec.name, device.facts)
        connection, transfer = self._connect(device, request)
        session, native = connection.session, connection.native
        layers = None if native is None else native.layers(request.runtime)
        if native is not None:
            preflight.check_layers(request, artifact, layers, native.target.name)
        threads = request.threads or spec.threads or 1
        if request.runtime not in connection.runtimes:
            connection.runtimes[request.runtime] = provide_runtime(
                session, connection.agent, device, request.runtime, self._workspace, relay, native
            )
            transfer += connection.runtimes[request.runtime].transfer
        runtime = connection.runtimes[request.runtime]
        unknown = preflight.check_needs(request, artifact, device.facts, runtime)
        if unknown:
            relay.note(unknown)
        site = runtime.site
        jobs.prepare(session, request.runtime, threads=threads, affinity=request.affinity, site=site)
        if artifact.key not in connection.pushed:
            relay.step(f"push to {spec.name}")
            transfer += push_artifact(session, connection.agent, artifact, relay)
            connection.pushed.add(artifact.key)
            if transfer.pushed_bytes:
                prune(connection.agent, relay)
        job = JobSpec.of(
            artifact,
            threads=threads,
            affinity=request.affinity,
            accelerator=request.accelerator,
            site=site,
            governor=request.governor or spec.governor,
            native=native is not None,
        )
        return Placed(device, session, prepared.samples, artifact, job, transfer, layers)

    def _connect(self, device: Device, request: DeployRequest) -> tuple[_Connection, Transfer]:
        """A session with the agent that runs this runtime, opened unless there is one."""
        known = self._of_runtime.get((request.runtime, request.agent))
        if known is not None:
            return known, Transfer()
        choice = choose_agent(device, request.runtime, self._workspace, self._relay, wanted=request.agent)
        tell(choice, device, request.runtime, self._relay)
        native = choice.products
        if native is not None and request.runtime != NULL:
            native.worker(request.runtime)  # what is slow comes before anything is put on the device
        agent, transfer = install_agent(device, self._workspace, native)
        connection = self._connections.get(agent.build)
        if connection is None:
            held = ExitStack()
            session = held.enter_context(Reattaching(agent, self._workspace.home, self._relay))
            connection = self._connections[agent.build] = _Connection(agent, session, held, native)
        self._of_runtime[request.runtime, request.agent] = connection
        return connection, transfer

    def _let_daemons_go(self) -> None:
        for build, connection in list(self._connections.items()):
            if connection.session.hello.carrier == "daemon":
                del self._connections[build]
                self._of_runtime = {
                    runtime: other for runtime, other in self._of_runtime.items() if other is not connection
                }
                connection.held.close()

    def _close(self, kind: type[BaseException] | None, error: BaseException | None) -> None:
        connections, self._connections = list(self._connections.values()), {}
        self._of_runtime = {}
        for connection in connections:
            with suppress(EdgeflowError):
                connection.held.__exit__(kind, error, None)
        device, self._device = self._device, None
        if device is not None:
            with suppress(DeviceError):
                device.close()
