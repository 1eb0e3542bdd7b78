"""Devices within reach: phones that adb sees and hosts that ssh knows, as entries for devices.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow.config.devices import ALL, DEVICES_NAME, LOCAL, DeviceSpec, Fleet, load_fleet
from edgeflow.devices.scan_ssh import SshHost, ssh_hosts
from edgeflow.devices.transports.adb_server import AdbServer
from edgeflow.devices.transports.adb_states import READY, not_ready
from edgeflow.devices.transports.adb_wire import ListedDevice
from edgeflow.errors import EdgeflowError, UsageError
from edgeflow.files import write_atomic

if TYPE_CHECKING:
    from edgeflow.workspace import Workspace

_NETWORK_SERIAL = re.compile(r".+:\d+")


@dataclass(frozen=True, slots=True)
class Found:
    """A device that could be used. `keys` are those of its entry; `problem` says what it needs first.

    `known_as` is the name under which devices.yaml has it already, or "".
    """

    name: str
    keys: Mapping[str, str]
    source: str
    problem: str = ""
    known_as: str = ""


def scan_document(workspace: Workspace, *, write: bool, ssh_folder: Path | None = None) -> dict[str, Any]:
    """Looks for devices; with `write` adds the new ones to devices.yaml (schema edgeflow.scan/1).

    The file is the one that the fleet came from, else devices.yaml in the current folder; what it says is
    kept as it is, the new entries come after it. No host is contacted. Raises UsageError for a file that
    cannot be added to. A part that could not be looked at is a note in the document.
    """
    fleet = load_fleet(workspace.devices_file, workspace.cwd, workspace.home)
    phones, notes = _phones()
    hosts = ssh_hosts(ssh_folder or Path("~/.ssh").expanduser())
    found = propose([*phones, *map(ssh_entry, hosts)], fleet)
    new = [device for device in found if not device.known_as]
    target = fleet.source or workspace.cwd / DEVICES_NAME
    if write and new:
        _add(target, new)
    return {
        "schema": "edgeflow.scan/1",
        "devices_file": str(target),
        "written": [device.name for device in new] if write else [],
        "notes": notes,
        "devices": [
            {
                "name": device.name,
                "entry": dict(device.keys),
                "source": device.source,
                "problem": device.problem,
                "known_as": device.known_as,
            }
            for device in found
        ],
        "yaml": entries_yaml(new),
    }


def adb_entry(device: ListedDevice) -> Found:
    """The entry of a device that adb lists; a phone on the network by its address. Pure."""
    key = "address" if _NETWORK_SERIAL.fullmatch(device.serial) else "serial"
    problem = ""
    if device.state != READY:
        problem = not_ready(device.serial, device).message.removeprefix(f"{device.serial}: ")
    name = _name_from(device.model or f"phone-{device.serial}".replace(".", "-"))
    return Found(name, {"transport": "adb", key: device.serial}, "adb", problem)


def ssh_entry(host: SshHost) -> Found:
    """The entry of a host that ssh knows. Pure."""
    port = {"port": host.port} if host.port else {}
    return Found(_name_from(host.address), {"transport": "ssh", "address": host.address, **port}, host.source)


def propose(found: Iterable[Found], fleet: Fleet) -> list[Found]:
    """The found devices under names that are free, those that the fleet has under the name it has. Pure."""
    taken, proposed, found = {*fleet.devices, LOCAL, ALL}, [], list(found)
    phones = sum(device.keys["transport"] == "adb" for device in found)
    for device in found:
        known = next((spec.name for spec in fleet.devices.values() if _is_same(spec, device)), "")
        if not known and phones == 1 and device.keys["transport"] == "adb":
            known = next((spec.name for spec in fleet.devices.values() if spec.is_any_phone), "")
        name = known or device.name
        number = 2
        while not known and name in taken:
            name = f"{device.name}-{number}"
            number += 1
        taken.add(name)
        proposed.append(Found(name, device.keys, device.source, device.problem, known))
    return proposed


def entries_yaml(devices: Sequence[Found], indent: str = "  ") -> str:
    """The lines to put below `devices:` of devices.yaml."""
    import yaml

    lines = []
    for device in devices:
        keys: dict[str, object] = {
            key: int(value) if key == "port" else value for key, value in device.keys.items()
        }
        text = yaml.safe_dump({device.name: keys}, sort_keys=False, allow_unicode=True)
        lines += [f"{indent}{line}\n" for line in text.splitlines()]
    return "".join(lines)


def _phones() -> tuple[list[Found], list[str]]:
    server = AdbServer.of_environment()
    try:
        server.start()
        return [adb_entry(device) for device in server.devices()], []
    except EdgeflowError as error:
        return [], [
            f"phones could not be looked for: {error.message}" + (f"; {error.hint}" * bool(error.hint))
        ]


def _is_same(spec: DeviceSpec, device: Found) -> bool:
    if spec.transport != device.keys["transport"]:
        return False
    return any(
        device.keys.get(key) == getattr(spec, key) for key in ("serial", "address") if key in device.keys
    )


def _add(path: Path, new: Sequence[Found]) -> None:
    """Appends entries to the file's `devices`, or makes the file. Checks the whole before it replaces it."""
    try:
        lines = path.read_text("utf-8").splitlines() if path.exists() else ["devices:"]
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    start = next((index for index, line in enumerate(lines) if re.match(r"devices:\s*(#.*)?$", line)), None)
    if start is None:
        raise UsageError(
            f"{path}: has no `devices:` on a line of its own to add to",
            hint="add the printed entries by hand",
        )
    last, indent = start, ""
    for index, line in enumerate(lines[start + 1 :], start + 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not line.startswith(" "):
            break
        last, indent = index, indent or line[: len(line) - len(line.lstrip())]
    entries = entries_yaml(new, indent or "  ").splitlines()
    text = "\n".join([*lines[: last + 1], *entries, *lines[last + 1 :]]) + "\n"
    _check_loads(path, text, [device.name for device in new])
    write_atomic(path, text.encode())


def _check_loads(path: Path, text: str, names: Sequence[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / DEVICES_NAME
        trial.write_text(text, "utf-8")
        try:
            fleet = load_fleet(trial, trial.parent, trial.parent)
        except UsageError as error:
            raise UsageError(
                f"{path}: the new entries do not fit in: {error.message.removeprefix(str(trial))}",
                hint="add the printed entries by hand",
            ) from error
    if missing := [name for name in names if name not in fleet.devices]:
        raise UsageError(f"{path}: {', '.join(missing)} could not be added", hint="add them by hand")


def _name_from(text: str) -> str:
    """A name that devices.yaml accepts: lower case, words joined by '-'; an IP address keeps its dots."""
    host = text.partition(".")[0] if not re.fullmatch(r"[\d.]+", text) else text
    name = re.sub(r"[^a-z0-9._-]+", "-", host.lower()).strip("-._")
    return name or "device"
