"""The running lab devices as entries that `--devices-file` takes, and their host keys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeflow.files import write_atomic
from edgeflow.lab.catalogue import CATALOGUE, LINUX_USER, LabDevice, LabFolder
from edgeflow.lab.guests import Guest
from edgeflow.lab.machine_root import has_systemd
from edgeflow.lab.rootfs import rootfs

_HEAD = """\
# The devices of the lab that run now. Written by `edgeflow lab up` and `edgeflow lab down`; changes are lost.
# Use it: edgeflow --devices-file {path} devices check
"""


def write_entries(folder: LabFolder, guests: Sequence[Guest]) -> None:
    """Writes devices.yaml and known_hosts of the lab for these guests. Raises UsageError."""
    import yaml

    known = {device.name: device for device in CATALOGUE}
    devices = {guest.name: _entry(folder, known[guest.name], guest) for guest in guests}
    head = _HEAD.format(path=folder.devices_file)
    text = yaml.safe_dump({"devices": devices}, sort_keys=False, allow_unicode=True, width=110)
    write_atomic(folder.devices_file, (head + text).encode())
    lines = [
        f"{guest.address} {_host_key(folder, known[guest.name])}\n"
        for guest in guests
        if known[guest.name].kind == "linux"
    ]
    write_atomic(folder.known_hosts, "".join(lines).encode())


def _entry(folder: LabFolder, device: LabDevice, guest: Guest) -> dict[str, object]:
    if device.kind == "phone":
        reach: dict[str, object] = {"transport": "adb", "address": f"{guest.address}:{guest.port}"}
    else:
        reach = {
            "transport": "ssh",
            "address": guest.address,
            "user": LINUX_USER,
            "key": str(folder.user_key),
            "known_hosts": str(folder.known_hosts),
        }
    return {**reach, "description": device.description, "tags": _tags(device)}


def _tags(device: LabDevice) -> list[str]:
    return ["lab", device.kind, device.arch, *(["machine"] if device.machine else [])]


def _host_key(folder: LabFolder, device: LabDevice) -> str:
    path: Path = rootfs(folder, device.arch, systemd=has_systemd(device)) / "etc/ssh/ssh_host_ed25519_key.pub"
    return " ".join(path.read_text().split()[:2])
