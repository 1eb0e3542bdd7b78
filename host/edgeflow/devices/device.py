"""A device that is reached and known: its spec, its transport, its facts."""

from __future__ import annotations

import secrets
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Literal, Self

from edgeflow.config.devices import DeviceSpec
from edgeflow.devices.facts import parse_probe, work_dir_of
from edgeflow.devices.probe import run_probe
from edgeflow.devices.transports import open_transport
from edgeflow.devices.transports.adb import AdbTransport
from edgeflow.devices.transports.adb_states import NoPhone
from edgeflow.devices.transports.base import Transport
from edgeflow.errors import DeviceError, EdgeflowError
from edgeflow.types import DeviceFacts

MIN_PYTHON = (3, 8)
"""What the Python agent needs."""

_MIN_FREE_BYTES = 100 << 20
_WORK_DIRS = {"ssh": "~/.edgeflow", "adb": "/data/local/tmp/edgeflow"}


@dataclass(frozen=True, slots=True)
class Device:
    """An open device. `work_dir` is absolute; `python` is the interpreter that starts the Python agent."""

    spec: DeviceSpec
    transport: Transport
    facts: DeviceFacts
    work_dir: PurePosixPath
    python: str

    @property
    def which(self) -> str:
        """Which phone an entry without serial and address stands for today; "" for any other entry."""
        if not self.spec.is_any_phone or not isinstance(self.transport, AdbTransport):
            return ""
        found = f"serial {self.transport.serial} ({self.facts.model})"
        return f"{self.spec.name}: the only phone that adb sees, {found}"

    def close(self) -> None:
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """What `devices check` says of one device: how it is, and the cure where something is wrong.

    Absent is an entry for whichever phone is connected, while none is.
    """

    name: str
    state: Literal["ok", "absent", "problem"]
    what: str
    fix: str = ""


def open_device(spec: DeviceSpec, home: Path) -> Device:
    """Reaches a device and asks for its facts; changes nothing there. Raises DeviceError.

    `home` is EDGEFLOW_HOME, which holds the work folder of this machine as a device.
    """
    python = spec.python or (sys.executable if spec.transport == "local" else "python3")
    work_dir = spec.work_dir or _WORK_DIRS.get(spec.transport) or str(home / "device")
    transport = open_transport(spec)
    try:
        text = run_probe(transport, work_dir=work_dir, python=python)
        return Device(spec, transport, parse_probe(text), work_dir_of(text), python)
    except BaseException:
        transport.close()
        raise


def check_device(spec: DeviceSpec, home: Path) -> DeviceReport:
    """Reaches a device, writes a small file to its work folder, and names the first thing that is wrong."""
    try:
        with open_device(spec, home) as device:
            _write_and_remove(device)
            problem = _problem(device)
    except NoPhone as error:
        state: Literal["absent", "problem"] = "absent" if spec.is_any_phone else "problem"
        return DeviceReport(spec.name, state, error.message.removeprefix(f"{spec.name}: "), error.hint)
    except EdgeflowError as error:
        return DeviceReport(spec.name, "problem", error.message.removeprefix(f"{spec.name}: "), error.hint)
    return problem or DeviceReport(spec.name, "ok", _describe(device.facts))


def _write_and_remove(device: Device) -> None:
    remote = device.work_dir / f".check-{secrets.token_hex(4)}"
    with tempfile.NamedTemporaryFile() as local:
        local.write(b"edgeflow devices check\n")
        local.flush()
        device.transport.push(Path(local.name), remote)
    removed = device.transport.run(["rm", "-f", str(remote)], timeout_s=10)
    removed.require_success(f"{device.spec.name}: cannot remove {remote}")


def _problem(device: Device) -> DeviceReport | None:
    facts, name = device.facts, device.spec.name
    lacking = _python_problem(device)
    named = device.spec.python is not None or device.spec.agent == "python"
    if lacking is not None and (named or not _has_native_agent(device)):
        return lacking
    free_bytes = facts.disk_free_bytes
    if free_bytes is not None and free_bytes < _MIN_FREE_BYTES:
        return DeviceReport(
            name,
            "problem",
            f"only {free_bytes >> 20} MiB free for {device.work_dir}",
            f"free {_MIN_FREE_BYTES >> 20} MiB there, or set `work_dir:` of {name} in devices.yaml",
        )
    return None


def _python_problem(device: Device) -> DeviceReport | None:
    facts, name = device.facts, device.spec.name
    if facts.python_version is None:
        return DeviceReport(
            name, "problem", f"no Python at '{device.python}'", f"set `python:` of {name} in devices.yaml"
        )
    if tuple(map(int, facts.python_version.split(".")[:2])) < MIN_PYTHON:
        return DeviceReport(
            name,
            "problem",
            f"Python {facts.python_version}; the agent needs {'.'.join(map(str, MIN_PYTHON))} or newer",
            f"install a newer one there and set `python:` of {name} in devices.yaml",
        )
    return None


def _has_native_agent(device: Device) -> bool:
    """Whether the agent that needs no Python is built for such a device."""
    from edgeflow.toolchain.targets import targets_for

    try:
        return bool(targets_for(device.spec.name, device.facts, local=device.spec.transport == "local"))
    except DeviceError:
        return False


def _describe(facts: DeviceFacts) -> str:
    pieces = [facts.model, facts.os_version or facts.os, facts.arch, f"{facts.cores} cores"]
    if facts.memory_bytes is not None:
        pieces.append(f"{facts.memory_bytes / 2**30:.1f} GiB memory")
    pieces.append("no Python" if facts.python_version is None else f"Python {facts.python_version}")
    pieces.append("root" if facts.root else "not root")
    if facts.emulated:
        pieces.append("emulated: its times prove nothing")
    return ", ".join(pieces)
