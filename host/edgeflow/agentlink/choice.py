"""Which agent a device gets, Python or native: told where it is not obvious, never swapped later."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from edgeflow.agentlink.provision import agent_of, daemon_is_listed
from edgeflow.agentlink.runtimes import require_runtime
from edgeflow.devices.device import MIN_PYTHON
from edgeflow.errors import DeviceError, ToolMissingError
from edgeflow.toolchain.targets import targets_for
from edgeflow_agent.identity import build_of, sources

if TYPE_CHECKING:
    from edgeflow.config.devices import AgentKind
    from edgeflow.devices.device import Device
    from edgeflow.progress import Progress
    from edgeflow.toolchain.products import Products
    from edgeflow.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Choice:
    """The kind of agent; for the native one, where its programs come from. `why` is for people."""

    kind: Literal["python", "native"]
    why: str
    products: Products | None = None


def choose_agent(
    device: Device,
    runtime: str | None,
    workspace: Workspace,
    progress: Progress,
    *,
    wanted: AgentKind | None = None,
) -> Choice:
    """The agent that can run the runtime on the device (None: any runtime), compiled by nobody yet.

    `wanted` (--agent) counts before `agent:` of devices.yaml. Where that is auto, the native agent is taken
    if the Python one cannot run there, if its daemon runs there, or if it needs no compiling and the device
    is another machine. Raises DeviceError when no agent can, or not the one that is wanted; UsageError for a
    damaged bundle.
    """
    kind = wanted or device.spec.agent or "auto"
    if kind == "python":
        require_python(device, runtime)
        return Choice("python", "as asked for")
    if kind == "native" or device.facts.os == "android":
        return _native(device, runtime, workspace, progress, "")
    try:
        require_python(device, runtime)
    except DeviceError as error:
        why = error.message.removeprefix(f"{device.spec.name}: ")
        try:
            return _native(device, runtime, workspace, progress, why)
        except (DeviceError, ToolMissingError) as native_error:
            also = native_error.message.removeprefix(f"{device.spec.name}: ")
            both = f"{error.message}; nor does the native agent help: {also}"
            if isinstance(native_error, ToolMissingError):  # which can be had
                raise ToolMissingError(both, hint=native_error.hint) from error
            raise DeviceError(both, hint=_what_to_bring(runtime) or error.hint) from error
    if device.spec.transport != "local":
        with suppress(DeviceError):
            why = "it is built already, and costs the device less"
            native = _native(device, runtime, workspace, progress, why)
            # Where its core is not built, no daemon of it can have been started from here.
            if native.products is not None and native.products.ready(None):
                running = _running_daemon(device, native.products)
                if running == "native":
                    return replace(native, why=_RUNS)
                if running == "python":
                    return Choice("python", _RUNS)
                if native.products.ready(runtime):
                    return native
    return Choice("python", "the device has what it needs")


def _what_to_bring(runtime: str | None) -> str:
    """What the user has to bring for a native worker of the runtime; "" where that is not the way."""
    from edgeflow.toolchain.runtimes import load_runtimes

    known = load_runtimes().get(runtime or "")
    return known.bring if known else ""


_RUNS = "its daemon runs"


def _running_daemon(device: Device, native: Products) -> Literal["python", "native"] | None:
    """Of which agent a daemon runs there: what somebody started is used. The native one's, where both do."""
    if daemon_is_listed(agent_of(device, native.agent().build, native=True)):
        return "native"
    python = agent_of(device, build_of(sources()), native=False)
    return "python" if daemon_is_listed(python) else None


def tell(choice: Choice, device: Device, runtime: str | None, progress: Progress) -> None:
    """One note about a choice that is not obvious, with the time that compiling will take.

    Raises ToolMissingError where there is nothing to compile with.
    """
    if choice.products is None:
        return
    from edgeflow.toolchain.products import COMMON

    name, products = device.spec.name, choice.products
    because = f": {choice.why}" if choice.why else ""
    told = f"{name}: native agent for {products.target.name}{because}"
    if not products.ready(runtime):
        minutes, label = products.cpu_minutes(runtime), products.builder.compiler.label
        progress.note(
            f"{told}; it is compiled first, once, with {label}: about {minutes:.0f} min of CPU time"
        )
    elif products.layers(runtime) == COMMON:
        progress.note(f"{told}; its {runtime} was built with the {COMMON} layers only")
    elif choice.why:
        progress.note(told)


def require_python(device: Device, runtime: str | None) -> None:
    """That the device can run the Python agent, and the runtime with it. Raises DeviceError: why not."""
    name, found = device.spec.name, device.facts.python_version
    if found is None and device.facts.os == "android":
        raise DeviceError(f"{name}: Android has no Python for the agent", hint="use --agent native")
    if found is None or tuple(map(int, found.split(".")[:2])) < MIN_PYTHON:
        what = f"its Python is {found}" if found else f"it has no Python at '{device.python}'"
        needed = ".".join(map(str, MIN_PYTHON))
        raise DeviceError(
            f"{name}: {what}; the Python agent needs Python {needed} or newer",
            hint=f"install one there, or set `python:` of {name} in devices.yaml to where it is",
        )
    if runtime is not None:
        require_runtime(device, runtime)


def _native(
    device: Device, runtime: str | None, workspace: Workspace, progress: Progress, why: str
) -> Choice:
    from edgeflow.toolchain.products import products_for  # a deploy to this machine does without

    targets = targets_for(device.spec.name, device.facts, local=device.spec.transport == "local")
    return Choice("native", why, products_for(targets, runtime, device.spec.name, workspace, progress))
