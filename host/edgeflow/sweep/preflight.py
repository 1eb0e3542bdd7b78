"""Cells that cannot work are left out before any slow work, each with the reason. Contacts no device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgeflow.deploy.conversion import check_target
from edgeflow.deploy.preflight import SERVED
from edgeflow.devices.device import MIN_PYTHON
from edgeflow.errors import DeviceError, EdgeflowError
from edgeflow.sweep.matrix import Cell, Dropped, Matrix
from edgeflow.toolchain.products import offered
from edgeflow.toolchain.targets import NULL, TARGETS, targets_for
from edgeflow.types import CpuCluster, DeviceFacts
from edgeflow_agent.backends.base import REGISTRY

if TYPE_CHECKING:
    from edgeflow.config.devices import AgentKind, DeviceSpec, Fleet
    from edgeflow.store import Store


@dataclass(frozen=True, slots=True)
class KnownFacts:
    """What a device told of itself when it was measured last."""

    facts: DeviceFacts
    since: str  # the day


def known_facts(store: Store, fleet: Fleet, names: set[str]) -> dict[str, KnownFacts]:
    """The facts of each device's newest result, where it is of the same transport."""
    found = {}
    for name in names:
        rows = store.list({"device": name}, limit=1)
        if not rows:
            continue
        device = store.get(rows[0].id)["device"]
        facts = _facts_of(device.get("facts"))
        if facts is not None and device.get("transport") == fleet.devices[name].transport:
            found[name] = KnownFacts(facts, rows[0].started_at[:10])
    return found


def without_impossible(
    matrix: Matrix, fleet: Fleet, known: Mapping[str, KnownFacts], agent: AgentKind | None
) -> Matrix:
    """The matrix with impossible cells among its dropped ones."""
    kept, dropped = [], list(matrix.dropped)
    reasons: dict[tuple[str, str, str, str], str] = {}
    for cell in matrix.cells:
        key = (cell.device, cell.runtime, cell.precision, cell.accelerator)
        if key not in reasons:
            reasons[key] = _why_impossible(cell, fleet.devices[cell.device], known.get(cell.device), agent)
        if reasons[key]:
            dropped.append(Dropped(cell, reasons[key]))
        else:
            kept.append(cell)
    return replace(matrix, cells=tuple(kept), dropped=tuple(dropped))


def _why_impossible(cell: Cell, spec: DeviceSpec, known: KnownFacts | None, agent: AgentKind | None) -> str:
    """Why the cell cannot work; empty where it may."""
    try:
        check_target(cell.runtime, cell.precision)
    except EdgeflowError as error:
        return error.message
    if cell.accelerator not in SERVED:
        return f"no runtime of this version serves accelerator {cell.accelerator}"
    if spec.runtimes and cell.runtime not in spec.runtimes:
        return f"devices.yaml allows {', '.join(spec.runtimes)} on {spec.name}, not {cell.runtime}"
    wanted = agent or spec.agent or "auto"
    no_python = _why_no_python(cell.runtime, spec, known)
    no_native = _why_no_native(cell.runtime, spec, known)
    if wanted == "python":
        return no_python
    if wanted == "native":
        return no_native
    return f"{no_python}; {no_native}" if no_python and no_native else ""


def _why_no_python(runtime: str, spec: DeviceSpec, known: KnownFacts | None) -> str:
    if spec.transport == "adb":
        return "Android has no Python for the agent"
    if runtime not in REGISTRY:
        return f"the Python agent has no worker for {runtime}"
    if known is None:
        return ""
    version = known.facts.python_version
    if version is None or tuple(map(int, version.split(".")[:2])) < MIN_PYTHON:
        what = f"Python {version}" if version else "no Python"
        return f"{spec.name} has {what} (as of {known.since})"
    return ""


def _why_no_native(runtime: str, spec: DeviceSpec, known: KnownFacts | None) -> str:
    try:
        if known is not None:
            targets = targets_for(spec.name, known.facts, local=spec.transport == "local")
        elif spec.transport == "adb":
            targets = tuple(target for target in TARGETS.values() if target.system == "android")
        else:
            return ""
    except DeviceError as error:
        return error.message.removeprefix(f"{spec.name}: ")
    if runtime == NULL or any(runtime in offered(target) for target in targets):
        return ""
    return f"there is no native worker of {runtime} for {targets[0].name}"


def _facts_of(data: Any) -> DeviceFacts | None:
    """Facts out of a result; None for those of another version."""
    try:
        clusters = tuple(
            CpuCluster(tuple(item["cores"]), item["max_mhz"], item["part"]) for item in data["clusters"]
        )
        words = {
            **data,
            "clusters": clusters,
            "abis": tuple(data["abis"]),
            "power_sources": tuple(data["power_sources"]),
        }
        return DeviceFacts(**words)
    except (KeyError, TypeError):
        return None
