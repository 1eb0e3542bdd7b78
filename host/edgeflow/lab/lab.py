"""Up, down and status: what `edgeflow lab` does."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow.errors import DeviceError, UsageError
from edgeflow.lab import namespaces
from edgeflow.lab.catalogue import CATALOGUE, LabDevice, LabFolder, select
from edgeflow.lab.entries import write_entries
from edgeflow.lab.phone import ADBD, locked_layer, phone_layer, properties
from edgeflow.lab.requirements import require_machine
from edgeflow.lab.rootfs import SHELL_UID, emulator, rootfs
from edgeflow.lab.sensors import sensor_files

if TYPE_CHECKING:
    from edgeflow.progress import Progress

_STORAGE_BYTES = 1 << 30
_MAX_KHZ = 2_000_000
# What a phone's adbd runs with (AOSP daemon/main.cpp): input, log, sdcard, inet, ...
_SHELL_GROUPS = [1004, 1007, 1011, 1015, 1028, 3001, 3002, 3003, 3006]


def up(names: Sequence[str], home: Path, progress: Progress) -> dict[str, Any]:
    """Starts lab devices that do not run yet (none named: the usual ones) (schema edgeflow.lab/1).

    The first time builds their root file systems, about two minutes; after that, seconds. Needs root on
    Linux. Raises ToolMissingError for what this machine lacks, UsageError, LabError.
    """
    wanted = select(names)
    require_machine()
    folder = LabFolder.of_home(home)
    with _locked(folder):
        running = {name for name, guest in namespaces.recorded(folder).items() if guest.running}
        for device in wanted:
            if device.name in running:
                continue
            namespaces.stop(folder, device.name)  # what is left of one that ended by itself
            plan = _plan(folder, device, progress)
            progress.step(f"start {device.name}")
            namespaces.start(folder, device.name, device.port, plan)
        _write_running(folder)
    return status(home)


def down(names: Sequence[str], home: Path) -> dict[str, Any]:
    """Stops lab devices (none named: all) (schema edgeflow.lab/1). Raises UsageError, LabError."""
    folder = LabFolder.of_home(home)
    recorded = namespaces.recorded(folder)
    wanted = [device.name for device in select(names)] if names else list(recorded)
    if recorded:
        require_machine()
        with _locked(folder):
            for name in wanted:
                namespaces.stop(folder, name)
            _write_running(folder)
    return status(home)


def status(home: Path) -> dict[str, Any]:
    """Which lab devices there are, and which run (schema edgeflow.lab/1). Changes nothing."""
    folder = LabFolder.of_home(home)
    recorded = namespaces.recorded(folder)
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
    path = key or Path("~/.android/adbkey.pub").expanduser()
    if not path.is_file():
        raise UsageError(
            f"{path}: no such key of adb", hint="adb makes it when it first connects: adb devices"
        )
    keys = namespaces.guest_path(guest, "/data/misc/adb/adb_keys")
    with keys.open("a") as file:
        file.write(path.read_text().strip() + "\n")
    return status(home)


def running_guest(name: str, home: Path) -> namespaces.Guest:
    """The running device of that name. Raises UsageError, DeviceError for one that is down."""
    select([name])
    guest = namespaces.recorded(LabFolder.of_home(home)).get(name)
    if guest is None or not guest.running:
        raise DeviceError(f"{name} does not run", hint=f"edgeflow lab up {name}")
    return guest


def _plan(folder: LabFolder, device: LabDevice, progress: Progress) -> dict[str, Any]:
    """What guest.py is told, but for the network. Builds what is not there yet."""
    progress.step(f"prepare {device.name} (minutes the first time)")
    programs = emulator(folder)
    layers = [rootfs(folder, device.arch)]
    environment = {"QEMU_CPU": device.cpu, **({"QEMU_UNAME": device.kernel} if device.kernel else {})}
    plan: dict[str, Any] = {"emulators": str(programs), "storage_bytes": _STORAGE_BYTES}
    plan["files"] = sensor_files(len(os.sched_getaffinity(0)), max_khz=_MAX_KHZ)
    if device.kind == "phone":
        layers.insert(0, phone_layer(folder, layers[-1]))
        if device.locked:
            layers.insert(0, locked_layer(folder, layers[-1]))
        plan |= {
            "files": {**plan["files"], "/system/build.prop": properties(device)},
            "argv": [f"/{ADBD}"],
            "uid": SHELL_UID,
            "groups": _SHELL_GROUPS,
            "env": environment | _PHONE_ENVIRONMENT,
        }
    else:
        setenv = " ".join(f"{key}={value}" for key, value in environment.items())
        plan |= {
            "argv": ["/usr/sbin/sshd", "-D", "-e", "-o", f"SetEnv={setenv}"],
            "uid": 0,
            "groups": [],
            "env": {**environment, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
        }
    plan["layers"] = [str(layer) for layer in layers]
    return plan


_PHONE_ENVIRONMENT = {
    "PATH": "/product/bin:/system/bin:/system/xbin:/vendor/bin",
    "ANDROID_ROOT": "/system",
    "ANDROID_DATA": "/data",
    "EXTERNAL_STORAGE": "/sdcard",
    "HOME": "/",
    "TMPDIR": "/data/local/tmp",
    "LD_PRELOAD": "/system/lib64/libproperties.so",
}


def _row(device: LabDevice, guest: namespaces.Guest | None) -> dict[str, Any]:
    state = "down"
    if guest is not None:
        state = "ended" if not guest.running else "up" if namespaces.answers(guest) else "not answering"
    return {
        "name": device.name,
        "state": state,
        "address": f"{guest.address}:{guest.port}" if guest else None,
        "link": guest.link if guest else None,
        "description": device.description,
    }


def _write_running(folder: LabFolder) -> None:
    write_entries(folder, [guest for guest in namespaces.recorded(folder).values() if guest.running])


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
