"""Starting and stopping a guest: its namespaces, its network link, and the record that `down` goes by."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess  # noqa: TID251 - only the type of what commands.py starts
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeflow.files import write_atomic
from edgeflow.lab import guest
from edgeflow.lab.catalogue import LabFolder
from edgeflow.lab.commands import LabError, run, start_python

_START_S = 60.0
_STOP_S = 10.0
_IP_S = 10.0
_SUBNETS = range(11, 250)


@dataclass(frozen=True, slots=True)
class Guest:
    """A started device. `init_started` tells its init from a later process with the same id (proc(5))."""

    name: str
    address: str
    port: int
    link: str  # the host's end: `ip link set LINK down` is a cable pulled out
    init_pid: int
    init_started: int

    @property
    def running(self) -> bool:
        return _start_time(self.init_pid) == self.init_started


def start(folder: LabFolder, name: str, port: int, plan: dict[str, Any]) -> Guest:
    """Starts a guest and waits until its port answers. `plan` is guest.py's, without the network.

    Raises LabError with the last words of its log, and leaves nothing running.
    """
    folder.state.mkdir(parents=True, exist_ok=True)
    folder.mount_point(name).mkdir(parents=True, exist_ok=True)
    process = start_python(Path(guest.__file__), folder.log(name))
    link, init = "", 0
    try:
        subnet, link = _new_link(name)
        gateway, address = f"10.77.{subnet}.1", f"10.77.{subnet}.2"
        mount_point = str(folder.mount_point(name))
        full = {**plan, "name": name, "mount_point": mount_point, "address": address, "gateway": gateway}
        _tell(process, json.dumps(full))
        _expect(process, "unshared", folder.log(name))
        for table in ("uid_map", "gid_map"):
            Path(f"/proc/{process.pid}/{table}").write_text("0 0 65536")
        _ip(f"link set {link}p netns {process.pid} name eth0")
        _ip(f"addr add {gateway}/30 dev {link}")
        _ip(f"link set {link} up")
        # When the link is down, packets must get lost, not leave by this machine's default route.
        _ip(f"route replace unreachable 10.77.{subnet}.0/30 metric 4278198272")
        _tell(process, "")
        init = int(_expect(process, "init", folder.log(name)))
        started = Guest(name, address, port, link, init, _start_time(init) or 0)
        write_atomic(_record(folder, name), json.dumps(asdict(started)).encode())
        _expect(process, "ready", folder.log(name))
        _await_port(started, folder.log(name))
    except BaseException:
        if init:
            with contextlib.suppress(ProcessLookupError):
                os.kill(init, signal.SIGKILL)
        process.kill()
        process.wait(_STOP_S)
        _remove_link(link)
        _record(folder, name).unlink(missing_ok=True)
        raise
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
    process.returncode = 0  # it goes on without us: no warning about that when this object goes
    return started


def stop(folder: LabFolder, name: str) -> bool:
    """Stops the guest of that name, if it was started. True if it still ran. Raises LabError."""
    found = recorded(folder).get(name)
    if found is None:
        return False
    running = found.running
    if running:
        handle = os.pidfd_open(found.init_pid)
        try:
            if found.running:  # asked again: from here on the id cannot become another process's
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            if not select.select([handle], [], [], _STOP_S)[0]:
                raise LabError(f"{name}: process {found.init_pid} does not end though it was killed")
        finally:
            os.close(handle)
    _remove_link(found.link)
    _record(folder, name).unlink(missing_ok=True)
    return running


def recorded(folder: LabFolder) -> dict[str, Guest]:
    """The guests that were started and not stopped, by name; some may have ended by themselves."""
    found = {}
    for path in sorted(folder.state.glob("*.json")):
        guest_ = Guest(**json.loads(path.read_bytes()))
        found[guest_.name] = guest_
    return found


def set_link(guest_: Guest, *, up: bool) -> None:
    """Plugs the device's network cable in or out. Raises LabError."""
    _ip(f"link set {guest_.link} {'up' if up else 'down'}")


def guest_path(guest_: Guest, path: str) -> Path:
    """A path of the device's own file system, as this machine sees it."""
    return Path(f"/proc/{guest_.init_pid}/root") / path.lstrip("/")


def answers(guest_: Guest, timeout_s: float = 1.0) -> bool:
    """Whether the device's port can be connected to."""
    try:
        socket.create_connection((guest_.address, guest_.port), timeout_s).close()
    except OSError:
        return False
    return True


def _record(folder: LabFolder, name: str) -> Path:
    return folder.state / f"{name}.json"


def _new_link(name: str) -> tuple[int, str]:
    """A pair of network interfaces on the first free subnet: making it is what reserves the subnet."""
    for subnet in _SUBNETS:
        link = f"edgelab{subnet}"
        if not Path("/sys/class/net", link).exists():
            try:
                _ip(f"link add {link} type veth peer name {link}p")
            except LabError as error:
                if "File exists" not in error.detail:
                    raise
            else:
                return subnet, link
    raise LabError(f"{name}: no network link could be made", hint="see `ip link`: edgelab11 to edgelab249")


def _remove_link(link: str) -> None:
    if link:
        subnet = link.removeprefix("edgelab")
        for words in (f"link del {link}", f"route del unreachable 10.77.{subnet}.0/30"):
            with contextlib.suppress(LabError):  # the guest's end went with its namespace
                _ip(words)


def _ip(words: str) -> None:
    run(["ip", *words.split()], f"ip {words}", timeout_s=_IP_S)


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
        raise LabError("a lab device ended while it started", detail=_last_words(log))
    said = json.loads(line)
    if key not in said:
        raise LabError(f"a lab device cannot start: {said.get('error', said)}", detail=_last_words(log))
    return said[key]


def _await_port(guest_: Guest, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while not answers(guest_):
        if not guest_.running:
            raise LabError(f"{guest_.name}: its daemon ended: {_last_line(log)}", detail=_last_words(log))
        if time.monotonic() > deadline:
            raise LabError(f"{guest_.name}: port {guest_.port} does not answer", detail=_last_words(log))
        time.sleep(0.05)  # nothing tells when a port of another namespace opens


def _last_words(log: Path) -> str:
    return log.read_text("utf-8", "replace")[-2000:] if log.is_file() else ""


def _last_line(log: Path) -> str:
    return (_last_words(log).strip().splitlines() or ["no word in its log"])[-1]


def _start_time(pid: int) -> int | None:
    """Clock ticks since boot at which a process began; None when there is none (or only a zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])
