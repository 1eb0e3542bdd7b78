"""The record of a started lab device, whatever its kind: `status` and `down` go by it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from edgeflow.files import write_atomic
from edgeflow.lab.catalogue import LabFolder
from edgeflow.lab.commands import LabError

_STOP_S = 10.0


@dataclass(frozen=True, slots=True)
class Guest:
    """A started device: a process whose end is the device's end, and the network link to it.

    `pid` is its init, of a virtual machine QEMU; `started` tells that process from a later one with the same
    id (proc(5)).
    """

    name: str
    address: str
    port: int
    link: str  # the host's end: `ip link set LINK down` is a cable pulled out
    pid: int
    started: int

    @property
    def running(self) -> bool:
        return start_time(self.pid) == self.started


def record(folder: LabFolder, guest: Guest) -> None:
    """Writes down that it runs, so that `down` can stop it."""
    folder.state.mkdir(parents=True, exist_ok=True)
    write_atomic(_path(folder, guest.name), json.dumps(asdict(guest)).encode())


def recorded(folder: LabFolder) -> dict[str, Guest]:
    """The guests that were started and not stopped, by name; some may have ended by themselves."""
    found = {}
    for path in sorted(folder.state.glob("*.json")):
        guest = Guest(**json.loads(path.read_bytes()))
        found[guest.name] = guest
    return found


def forget(folder: LabFolder, name: str) -> None:
    _path(folder, name).unlink(missing_ok=True)


def end(guest: Guest) -> bool:
    """Kills the guest's process and waits until it is gone. True if it still ran. Raises LabError."""
    if not guest.running:
        return False
    try:
        handle = os.pidfd_open(guest.pid)
    except ProcessLookupError:
        return False
    try:
        if guest.running:  # asked again: from here on the id cannot become another process's
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            if not select.select([handle], [], [], _STOP_S)[0]:
                raise LabError(f"{guest.name}: process {guest.pid} does not end though it was killed")
    finally:
        os.close(handle)
    return True


def answers(guest: Guest, timeout_s: float = 1.0) -> bool:
    """Whether the device's port can be connected to."""
    try:
        socket.create_connection((guest.address, guest.port), timeout_s).close()
    except OSError:
        return False
    return True


def await_port(guest: Guest, logs: tuple[Path, ...], timeout_s: float) -> None:
    """Waits until the device's port answers. Raises LabError with the last words of its logs."""
    deadline = time.monotonic() + timeout_s
    while not answers(guest):
        if not guest.running:
            words = last_words(*logs)
            last = (words.strip().splitlines() or ["no word in its log"])[-1]
            raise LabError(f"{guest.name}: it ended while it started: {last}", detail=words)
        if time.monotonic() > deadline:
            raise LabError(
                f"{guest.name}: port {guest.port} does not answer within {timeout_s:g} s",
                detail=last_words(*logs),
            )
        time.sleep(0.05)  # nothing tells when a port behind another kernel opens


def last_words(*logs: Path) -> str:
    """The end of these logs, as far as they are there."""
    return "".join(log.read_text("utf-8", "replace")[-2000:] for log in logs if log.is_file())


def start_time(pid: int) -> int | None:
    """Clock ticks since boot at which a process began; None when there is none (or only a zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def _path(folder: LabFolder, name: str) -> Path:
    return folder.state / f"{name}.json"
