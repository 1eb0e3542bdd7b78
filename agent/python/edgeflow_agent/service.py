"""The daemon as a systemd user unit, so that it comes back after a reboot (systemd.service(5))."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from typing import Any, Dict, Optional

from edgeflow_agent import daemon
from edgeflow_agent.faults import Fault
from edgeflow_agent.folder import storage_fault
from edgeflow_agent.supervise import HOME

TIMEOUT_S = 60.0
WANTS = "default.target.wants"
UNIT = """\
[Unit]
Description=edgeflow agent in {description}

[Service]
Type=forking
PIDFile={pid_file}
ExecStart={command}
SuccessExitStatus=143
Restart=on-failure
RestartSec=5

[Install]
WantedBy=default.target
"""


def unit_name(work: str) -> str:
    """One unit for each work folder."""
    import hashlib

    digest = hashlib.sha256(os.path.abspath(work).encode("utf-8", "surrogateescape")).hexdigest()
    return "edgeflow-agent-%s.service" % digest[:8]


def unit_path(work: str) -> str:
    """Where systemd looks for a user's own units (systemd.unit(5))."""
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(base, "systemd", "user", unit_name(work))


def unit_text(work: str, build: str, agent: str) -> str:
    """The unit that starts this build of the agent in this work folder."""
    work = os.path.abspath(work)
    words = (sys.executable, os.path.abspath(agent), "daemon", "--work", work)
    return UNIT.format(
        description=_escaped(work),
        pid_file=_escaped(os.path.join(work, "run", build, daemon.PID)),
        command=" ".join(_quoted(word) for word in words),
    )


def install(work: str, build: str) -> Dict[str, Any]:
    """Starts the daemon by a unit that also starts it after a reboot.

    {"service": unit name, "started": bool, "reason": "", "lingering": bool}; where the system has no systemd
    for users, {"service": None, "started": False, "reason": why, "lingering": None} and nothing is changed.
    Raises Fault (busy: a daemon that was started by hand runs a job; internal: systemd refused the unit).
    """
    reason = _unavailable()
    if reason:
        return {"service": None, "started": False, "reason": reason, "lingering": None}
    name, path, text = unit_name(work), unit_path(work), unit_text(work, build, HOME)
    if _content(path) == text and _systemctl("is-active", name).returncode == 0:
        return {"service": name, "started": False, "reason": "", "lingering": _lingers()}
    with contextlib.suppress(daemon.NoDaemon):
        daemon.stop(work, build, force=False)  # one that was started by hand would be in the unit's way
    try:
        _write_whole(path, text)
    except OSError as error:
        raise storage_fault(error, "cannot write the unit %s" % path) from error
    for words in (("daemon-reload",), ("enable", name), ("restart", name)):
        done = _systemctl(*words)
        if done.returncode != 0:
            message = "systemctl --user %s: %s" % (" ".join(words), _last_line(done))
            raise Fault("internal", message, detail={"log": done.stderr.splitlines()})
    # What `enable` linked must be on the disk too: the next thing may be a power cut.
    for folder in (os.path.dirname(path), os.path.join(os.path.dirname(path), WANTS)):
        with contextlib.suppress(OSError):
            _bring_to_disk(folder)
    return {"service": name, "started": True, "reason": "", "lingering": _lingers()}


def remove(work: str) -> bool:
    """Stops and removes the unit of this work folder; False where there is none. Raises Fault."""
    name, path = unit_name(work), unit_path(work)
    if not os.path.exists(path):
        return False
    available = not _unavailable()
    if available:
        _systemctl("disable", "--now", name)  # a unit that is stopped already is what we want
    try:
        os.unlink(path)
    except OSError as error:
        raise storage_fault(error, "cannot remove the unit %s" % path) from error
    if available:
        _systemctl("daemon-reload")
        _systemctl("reset-failed", name)  # else systemd remembers its name if it ever failed
    return True


def _unavailable() -> str:
    """Why this system cannot run units of a user; "" when it can."""
    if shutil.which("systemctl") is None:
        return "it has no systemd"
    done = _systemctl("show-environment")
    return "" if done.returncode == 0 else "systemd runs no user units here: %s" % _last_line(done)


def _systemctl(*words: str) -> "subprocess.CompletedProcess[str]":
    environment = dict(os.environ)
    runtime = "/run/user/%d" % os.getuid()
    if "XDG_RUNTIME_DIR" not in environment and os.path.isdir(runtime):
        environment["XDG_RUNTIME_DIR"] = runtime  # a command over ssh may come without it
    return _run(["systemctl", "--user", *words], environment)


def _lingers() -> Optional[bool]:
    """Whether the user's units start at boot and outlive his logins (loginctl(1)); None when not told."""
    if shutil.which("loginctl") is None:
        return None
    done = _run(["loginctl", "show-user", str(os.getuid()), "--property=Linger", "--value"], dict(os.environ))
    return {"yes": True, "no": False}.get(done.stdout.strip()) if done.returncode == 0 else None


def _run(argv: "list[str]", environment: Dict[str, str]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Fault("timeout", "%s did not end within %g s" % (" ".join(argv), TIMEOUT_S)) from error


def _write_whole(path: str, text: str) -> None:
    """The whole file or none, also after a power cut: systemd takes an empty unit for a masked one."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = path + ".part"
    with open(part, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def _bring_to_disk(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _content(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def _last_line(done: "subprocess.CompletedProcess[str]") -> str:
    lines = (done.stderr.strip() or done.stdout.strip() or "exit code %d" % done.returncode).splitlines()
    return lines[-1]


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    """One word of a command line (systemd.service(5), "Command lines")."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return '"%s"' % text
