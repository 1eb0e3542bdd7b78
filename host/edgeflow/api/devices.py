"""The fleet: what there is, whether it can be reached, and the lab's virtual devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeflow.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeflow.progress import Progress
    from edgeflow.workspace import Workspace

Document = dict[str, Any]
_SILENT = Silent()


def list_devices(workspace: Workspace) -> Document:
    """The fleet, contacted by nobody (schema edgeflow.devices/1)."""
    from edgeflow.devices import documents

    return documents.list_document(workspace)


def check_devices(names: Sequence[str], workspace: Workspace, progress: Progress = _SILENT) -> Document:
    """What is wrong with each device, and its cure (schema edgeflow.check/1)."""
    from edgeflow.devices import documents

    return documents.check_document(names, workspace, progress)


def scan_devices(workspace: Workspace, *, write: bool) -> Document:
    """Devices within reach as entries for devices.yaml, added to it if asked (schema edgeflow.scan/1)."""
    from edgeflow.devices import scan

    return scan.scan_document(workspace, write=write)


def device_facts(name: str, workspace: Workspace) -> Document:
    """What one device tells of itself (schema edgeflow.facts/1)."""
    from edgeflow.devices import documents

    return documents.facts_document(name, workspace)


def lab_up(names: Sequence[str], workspace: Workspace, progress: Progress = _SILENT) -> Document:
    """Starts virtual devices, the usual ones unless named (schema edgeflow.lab/1)."""
    from edgeflow.lab import lab

    workspace.ensure_home()
    return lab.up(names, workspace.home, progress)


def lab_down(names: Sequence[str], workspace: Workspace) -> Document:
    """Stops virtual devices, all unless named (schema edgeflow.lab/1)."""
    from edgeflow.lab import lab

    return lab.down(names, workspace.home)


def lab_status(workspace: Workspace) -> Document:
    """Which virtual devices there are and which run (schema edgeflow.lab/1)."""
    from edgeflow.lab import lab

    return lab.status(workspace.home)


def lab_reboot(name: str, workspace: Workspace, progress: Progress = _SILENT) -> Document:
    """Resets a virtual machine and waits until it is back (schema edgeflow.lab/1)."""
    from edgeflow.lab import lab

    return lab.reboot(name, workspace.home, progress)


def lab_power_cut(name: str, workspace: Workspace) -> Document:
    """Takes a virtual machine's power away; `lab_up` gives it back (schema edgeflow.lab/1)."""
    from edgeflow.lab import lab

    return lab.power_cut(name, workspace.home)


def lab_authorize(name: str, workspace: Workspace) -> Document:
    """Says yes on a virtual phone that asks for this computer's key (schema edgeflow.lab/1)."""
    from edgeflow.lab import lab

    return lab.authorize(name, workspace.home)
