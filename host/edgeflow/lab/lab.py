"""Up, down and status: what `edgeflow lab` does."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow.errors import DeviceError, UsageError
from edgeflow.lab import guests, machines, namespaces, network
from edgeflow.lab.catalogue import CATALOGUE, LabDevice, LabFolder, select
from edgeflow.lab.entries import write_entries
from edgeflow.lab.guests import Guest
from edgeflow.lab.requirements import require_machine

if TYPE_CHECKING:
    from edgeflow.progress import Progress


def up(names: Sequence[str], home: Path, progress: Progress) -> dict[str, Any]:
    """Starts lab devices that do not run yet (none named: the usual ones) (schema edgeflow.lab/1).

    The first time builds their root file systems, about two minutes; after that, seconds. A virtual machine
    that is switched off starts with the disk that it had. Needs root on Linux.
    Raises ToolMissingError for what this machine lacks, UsageError, LabError.
    """
    wanted = select(names)
    require_machine(virtual=any(device.machine for device in wanted))
    folder = LabFolder.of_home(home)
    with _locked(folder):
        running = {name for name, guest in guests.recorded(folder).items() if guest.running}
        try:
            for device in wanted:
                if device.name in running:
                    continue
                if device.machine:
                    machines.start(folder, device, progress)
                else:
                    _stop(folder, device)  # what is left of one that ended by itself
                    namespaces.start(folder, device, progress)
        finally:
            _write_entries(folder)
    return status(home)


def down(names: Sequence[str], home: Path) -> dict[str, Any]:
    """Stops lab devices (none named: all) and throws away what they wrote (schema edgeflow.lab/1).

    Raises UsageError, LabError.
    """
    folder = LabFolder.of_home(home)
    recorded = guests.recorded(folder)
    wanted = select(names) if names else [device for device in CATALOGUE if device.name in recorded]
    if recorded:
        require_machine()
        with _locked(folder):
            for device in wanted:
                _stop(folder, device)
            _write_entries(folder)
    return status(home)


def reboot(name: str, home: Path, progress: Progress) -> dict[str, Any]:
    """Presses a virtual machine's reset button and waits until it is back (schema edgeflow.lab/1).

    Its disk has what was synced. Raises UsageError, DeviceError, LabError.
    """
    device = _machine(name)
    require_machine(virtual=True)
    folder = LabFolder.of_home(home)
    with _locked(folder):
        guest = running_guest(name, home)
        machines.reset(folder, guest)
        progress.step(f"wait until {name} is back")
        machines.await_boot(folder, device, guest)
    return status(home)


def power_cut(name: str, home: Path) -> dict[str, Any]:
    """Takes a virtual machine's power away; `up` gives it back, with its disk (schema edgeflow.lab/1).

    Raises UsageError, DeviceError, LabError.
    """
    _machine(name)
    require_machine(virtual=True)
    folder = LabFolder.of_home(home)
    with _locked(folder):
        guests.end(running_guest(name, home))
    return status(home)


def status(home: Path) -> dict[str, Any]:
    """Which lab devices there are, and which run (schema edgeflow.lab/1). Changes nothing."""
    folder = LabFolder.of_home(home)
    recorded = guests.recorded(folder)
    return {
        "schema": "edgeflow.lab/1",
        "devices_file": str(folder.devices_file),
        "known_hosts": str(folder.known_hosts),
        "devices": [_row(device, recorded.get(device.name)) for device in CATALOGUE],
    }


def authorize(name: str, home: Path, key: Path | None = None) -> dict[str, Any]:
    """Says yes on a phone that asks for this computer's key, as a finger would (schema edgeflow.lab/1).

    `key` is adb's public key; ~/.android/adbkey.pub by default. Raises UsageError, DeviceError.
    """
    guest = running_guest(name, home)
    if _device(name).machine:
        raise UsageError(f"{name} asks for no key", hint="lab-pixel7-locked does")
    path = key or Path("~/.android/adbkey.pub").expanduser()
    if not path.is_file():
        raise UsageError(
            f"{path}: no such key of adb", hint="adb makes it when it first connects: adb devices"
        )
    keys = namespaces.guest_path(guest, "/data/misc/adb/adb_keys")
    with keys.open("a") as file:
        file.write(path.read_text().strip() + "\n")
    return status(home)


def running_guest(name: str, home: Path) -> Guest:
    """The running device of that name. Raises UsageError, DeviceError for one that is down."""
    select([name])
    guest = guests.recorded(LabFolder.of_home(home)).get(name)
    if guest is None or not guest.running:
        raise DeviceError(f"{name} does not run", hint=f"edgeflow lab up {name}")
    return guest


def _row(device: LabDevice, guest: Guest | None) -> dict[str, Any]:
    state = "down"
    if guest is not None and not guest.running:
        state = "off" if device.machine else "ended"
    elif guest is not None:
        state = "up" if guests.answers(guest) else "not answering"
    return {
        "name": device.name,
        "state": state,
        "address": f"{guest.address}:{guest.port}" if guest else None,
        "link": guest.link if guest else None,
        "description": device.description,
    }


def _device(name: str) -> LabDevice:
    return select([name])[0]


def _machine(name: str) -> LabDevice:
    device = _device(name)
    if device.machine is None:
        known = ", ".join(one.name for one in CATALOGUE if one.machine)
        raise UsageError(
            f"{name} is no virtual machine: it has no power or reset button of its own",
            hint=f"these are: {known}; or stop it: edgeflow lab down {name}",
        )
    return device


def _stop(folder: LabFolder, device: LabDevice) -> None:
    guest = guests.recorded(folder).get(device.name)
    if guest is None:
        return
    guests.end(guest)
    if device.machine:
        machines.discard(folder, device.name, guest.link)
    else:
        network.remove(guest.link)
        guests.forget(folder, device.name)
    if device.kind == "phone":
        _forget_in_adb(guest)


def _forget_in_adb(guest: Guest) -> None:
    """Has adb's server, where one runs, forget a phone that is gone: it would list it as offline for ever."""
    from edgeflow.devices.transports.adb_server import AdbServer

    with suppress(DeviceError):  # no server, no list
        AdbServer.of_environment().disconnect(f"{guest.address}:{guest.port}")


def _write_entries(folder: LabFolder) -> None:
    """Those that run, and machines that are off: they keep their address."""
    by_name = {device.name: device for device in CATALOGUE}
    found = guests.recorded(folder).values()
    write_entries(folder, [guest for guest in found if guest.running or by_name[guest.name].machine])


@contextmanager
def _locked(folder: LabFolder) -> Iterator[None]:
    """One `up` or `down` at a time for a home; another one waits."""
    folder.root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
