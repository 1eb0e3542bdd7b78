"""What measures on the devices of a sweep: this host's own hands, or those of lab hosts (sweep.cluster)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from edgeflow.deploy import preflight
from edgeflow.deploy.held import HeldDevice
from edgeflow.deploy.pipeline import Started, measured

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgeflow.config.devices import Fleet
    from edgeflow.deploy.held import Prepared
    from edgeflow.deploy.request import DeployRequest
    from edgeflow.progress import Progress
    from edgeflow.workspace import Workspace


class Measurement(NamedTuple):
    """A result that nobody has committed yet, and its raw series."""

    document: dict[str, Any]
    series: Mapping[str, Sequence[int]]


class Hands(Protocol):
    """Measures on devices. What concerns one device is never called at once."""

    def measure(self, request: DeployRequest, prepared: Prepared, progress: Progress) -> Measurement:
        """Places the artifact on the device and measures it there. Raises EdgeflowError."""

    def reached(self, device: str) -> bool:
        """Whether the device answers, after an error of a job there."""

    def temperature_c(self, device: str) -> float | None:
        """How hot the device is now; None where it does not tell."""

    def forget(self, device: str) -> None:
        """Lets go of the device. May be called twice."""

    def interrupt(self) -> None:
        """What waits for a device ends at once: the sweep is over, or was interrupted."""


class LocalHands:
    """Hands for the devices that this host reaches itself. A device is held open between its jobs."""

    def __init__(self, fleet: Fleet, workspace: Workspace) -> None:
        self._fleet = fleet
        self._workspace = workspace
        self._devices: dict[str, HeldDevice] = {}

    def measure(self, request: DeployRequest, prepared: Prepared, progress: Progress) -> Measurement:
        """Raises as `deploy` does."""
        started = Started.now()
        preflight.check_request(request)
        with self._device(request.device).placed(request, prepared, progress) as here:
            found = measured(request, started, prepared.model, here, prepared.reference, progress)
        return Measurement(*found)

    def reached(self, device: str) -> bool:
        return self._device(device).reached()

    def temperature_c(self, device: str) -> float | None:
        return self._device(device).temperature_c()

    def forget(self, device: str) -> None:
        held = self._devices.pop(device, None)
        if held is not None:
            held.close()

    def interrupt(self) -> None:
        """A job here hears of it by its progress."""

    def _device(self, name: str) -> HeldDevice:
        if name not in self._devices:
            self._devices[name] = HeldDevice(self._fleet.get(name), self._workspace)
        return self._devices[name]
