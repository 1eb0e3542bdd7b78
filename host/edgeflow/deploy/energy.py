"""The energy figure of a deploy: measured where the device has a power source, and kept with its readings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgeflow.agentlink import jobs
from edgeflow.bench.energy import Energy, EnergyRun, energy_of, energy_plan_for
from edgeflow.errors import AgentError

if TYPE_CHECKING:
    from edgeflow.agentlink.session import Calls, ProgressFn
    from edgeflow.types import DeviceFacts
    from edgeflow_converters.base import Artifact
    from edgeflow_converters.tensors import Tensors


@dataclass(frozen=True, slots=True)
class EnergyEvidence:
    """The figure or its reason, with the raw series by the names that the store keeps them under."""

    energy: Energy
    series: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def measure_energy(
    session: Calls,
    spec: jobs.JobSpec,
    artifact: Artifact,
    sample: Tensors,
    facts: DeviceFacts,
    *,
    mode: str,
    budget_s: float | None,
    on_progress: ProgressFn,
) -> EnergyEvidence:
    """Runs the energy job where the facts name a power source.

    A run that fails is a reason, not an error: what was measured before it is not to be lost with it.
    """
    if not facts.power_sources:
        reason = (
            "the device has no power sensor that can be read (battery gauge, powercap, hwmon power input)"
        )
        return EnergyEvidence(Energy(reason=reason))
    plan = energy_plan_for(mode, budget_s=budget_s)
    try:
        run = jobs.energy(session, spec, artifact, sample, plan, on_progress=on_progress)
    except AgentError as error:
        return EnergyEvidence(Energy(reason=f"the energy run failed: {error.message}"))
    energy = energy_of(run)
    return EnergyEvidence(energy, _series(run, energy))


def _series(run: EnergyRun, energy: Energy) -> dict[str, tuple[int, ...]]:
    """Of the source that gave the figure; where none did, of the first that has readings."""
    read = [source for source in run.sources if source.t_ns and energy.source in (None, source.name)]
    if not read or run.windows is None:
        return {}
    edges = [edge for name in ("idle_before", "loop", "idle_after") for edge in run.windows[name]]
    return {
        "power_t_ns": read[0].t_ns,
        read[0].quantity: read[0].values,
        "power_windows_ns": tuple(edges),
    }
