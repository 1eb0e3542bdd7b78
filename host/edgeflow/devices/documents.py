"""The fleet as the documents that `edgeflow devices` shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from edgeflow.config.devices import ALL, DeviceSpec, Fleet, load_fleet
from edgeflow.devices.device import check_device, open_device

if TYPE_CHECKING:
    from edgeflow.progress import Progress
    from edgeflow.workspace import Workspace


def list_document(workspace: Workspace) -> dict[str, Any]:
    """The fleet as it is written down (schema edgeflow.devices/1)."""
    fleet = _fleet(workspace)
    return {
        "schema": "edgeflow.devices/1",
        "origin": str(fleet.source) if fleet.source else "no devices.yaml found: this machine alone",
        "devices": [_row(spec) for spec in fleet.devices.values()],
    }


def check_document(names: Sequence[str], workspace: Workspace, progress: Progress) -> dict[str, Any]:
    """Each device's state and cure (schema edgeflow.check/1). Raises UsageError on an unknown name."""
    reports = []
    for spec in _fleet(workspace).select(names or [ALL]):
        progress.step(f"check {spec.name}")
        report = check_device(spec, workspace.home)
        if names and report.state == "absent":
            report = replace(report, state="problem")  # it was asked for
        reports.append(asdict(report))
    return {"schema": "edgeflow.check/1", "devices": reports}


def facts_document(name: str, workspace: Workspace) -> dict[str, Any]:
    """What one device tells of itself (schema edgeflow.facts/1). Raises DeviceError, UsageError."""
    with open_device(_fleet(workspace).get(name), workspace.home) as device:
        return {"schema": "edgeflow.facts/1", "device": name, "facts": device.facts.to_json()}


def _fleet(workspace: Workspace) -> Fleet:
    return load_fleet(workspace.devices_file, workspace.cwd, workspace.home)


def _row(spec: DeviceSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "transport": spec.transport,
        "address": spec.address or spec.serial,
        "tags": list(spec.tags),
        "runtimes": list(spec.runtimes),
        "description": spec.description,
    }
