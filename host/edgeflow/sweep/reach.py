"""Who has the devices of a sweep: this host, or lab hosts behind a Dask scheduler."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow.config.devices import DeviceSpec, Fleet, load_fleet
from edgeflow.config.plan import THREADS
from edgeflow.sweep.hands import Hands, LocalHands

if TYPE_CHECKING:
    from edgeflow.config.plan import SweepPlan
    from edgeflow.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Reach:
    """The devices there are, what measures on them, and what the user should know of the way to them.

    `to_remember`: devices that no file here lists, for the day on which the sweep is resumed.
    """

    fleet: Fleet
    hands: Hands
    notes: tuple[str, ...] = ()
    to_remember: Mapping[str, Any] | None = None


@contextmanager
def reached_by(
    plan: SweepPlan, workspace: Workspace, *, remembered: Mapping[str, Any] | None = None
) -> Iterator[Reach]:
    """The reach of the plan's executor. `remembered`: devices of lab hosts that may be away just now.

    Raises UsageError; with dask:// also ToolMissingError and DeviceError.
    """
    if plan.executor == THREADS:
        fleet = load_fleet(workspace.devices_file, workspace.cwd, workspace.home)
        yield Reach(fleet, LocalHands(fleet, workspace))
        return
    from edgeflow.sweep.cluster.cluster import connected
    from edgeflow.sweep.cluster.hands import ClusterHands

    known = {name: DeviceSpec.model_validate(words) for name, words in (remembered or {}).items()}
    with connected(plan.executor) as cluster, tempfile.TemporaryDirectory(prefix="edgeflow-") as folder:
        fleet = Fleet({**known, **cluster.fleet.devices}, None)
        hands = ClusterHands(cluster, Path(folder), patience_s=plan.absent_patience_s)
        specs = {
            name: spec.model_dump(mode="json", exclude_unset=True) for name, spec in fleet.devices.items()
        }
        notes = (cluster.remark,) if cluster.remark else ()
        yield Reach(fleet, hands, notes, specs)
