"""Devices that are namespaces of this machine's kernel, with their programs translated by qemu-user."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess  # noqa: TID251 - only the type of what commands.py starts
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow.lab import guest as guest_program
from edgeflow.lab import network
from edgeflow.lab.catalogue import LabDevice, LabFolder
from edgeflow.lab.commands import LabError, start_python
from edgeflow.lab.guests import Guest, await_port, forget, last_words, record, start_time
from edgeflow.lab.plans import plan_of

if TYPE_CHECKING:
    from edgeflow.progress import Progress

_START_S = 60.0
_STOP_S = 10.0


def start(folder: LabFolder, device: LabDevice, progress: Progress) -> Guest:
    """Starts a device as namespaces and waits until its port answers; builds what it is made of first.

    Raises LabError with the last words of its log, ToolMissingError, and leaves nothing running.
    """
    name = device.name
    plan = plan_of(folder, device, progress)
    progress.step(f"start {name}")
    folder.mount_point(name).mkdir(parents=True, exist_ok=True)
    process = start_python(Path(guest_program.__file__), folder.log(name))
    link, init = None, 0
    try:
        link = network.new_link(name, "veth")
        mount_point = str(folder.mount_point(name))
        where = {"mount_point": mount_point, "address": link.address, "gateway": link.gateway}
        _tell(process, json.dumps({**plan, "name": name, **where}))
        _expect(process, "unshared", folder.log(name))
        for table in ("uid_map", "gid_map"):
            Path(f"/proc/{process.pid}/{table}").write_text("0 0 65536")
        network.ip(f"link set {link.peer} netns {process.pid} name eth0")
        network.bring_up(link)
        _tell(process, "")
        init = int(_expect(process, "init", folder.log(name)))
        started = Guest(name, link.address, device.port, link.name, init, start_time(init) or 0)
        record(folder, started)
        _expect(process, "ready", folder.log(name))
        await_port(started, (folder.log(name),), _START_S)
    except BaseException:
        if init:
            with contextlib.suppress(ProcessLookupError):
                os.kill(init, signal.SIGKILL)
        process.kill()
        process.wait(_STOP_S)
        if link is not None:
            network.remove(link.name)
        forget(folder, name)
        raise
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
    process.returncode = 0  # it goes on without us: no warning about that when this object goes
    return started


def guest_path(guest: Guest, path: str) -> Path:
    """A path of the device's own file system, as this machine sees it."""
    return Path(f"/proc/{guest.pid}/root") / path.lstrip("/")


def _tell(process: subprocess.Popen[bytes], line: str) -> None:
    if process.stdin is None:
        raise LabError("a guest was started without a pipe to it")
    process.stdin.write(f"{line}\n".encode())


def _expect(process: subprocess.Popen[bytes], key: str, log: Path) -> Any:
    """The next line's value of `key`. Raises LabError when the guest says something else, ends or hangs."""
    if process.stdout is None:
        raise LabError("a guest was started without a pipe from it")
    ready = select.select([process.stdout], [], [], _START_S)[0]
    line = process.stdout.readline() if ready else b""
    if not line:
        raise LabError("a lab device ended while it started", detail=last_words(log))
    said = json.loads(line)
    if key not in said:
        raise LabError(f"a lab device cannot start: {said.get('error', said)}", detail=last_words(log))
    return said[key]
