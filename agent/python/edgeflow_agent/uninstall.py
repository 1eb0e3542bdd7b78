"""Takes everything of edgeflow off the device again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from typing import Any, Dict

from edgeflow_agent import daemon, service
from edgeflow_agent.faults import Fault
from edgeflow_agent.folder import JobLock, describe_busy, storage_fault
from edgeflow_agent.prune import daemon_runs
from edgeflow_agent.tuning import NOTE, Tuning

OURS = ("agents", "files", "site", "jobs", "run", "lock", NOTE)
"""Everything that edgeflow puts into a work folder; what else lies there is its owner's, and stays."""


def uninstall(work: str, force: bool) -> Dict[str, Any]:
    """Ends the daemons of every build, removes the unit and the work folder's content.

    {"removed": bool, "service": bool, "left": [names]}: a work folder in which other things lie is not
    removed itself. Raises Fault busy while a job runs, unless `force`.
    """
    work = os.path.abspath(work)
    if not os.path.isdir(work):
        return {"removed": False, "service": service.remove(work), "left": []}
    holder = JobLock(os.path.join(work, "lock")).holder()
    if holder is not None and not force:
        raise Fault("busy", describe_busy(holder), detail=holder)
    had_service = service.remove(work)
    run = os.path.join(work, "run")
    for build in os.listdir(run) if os.path.isdir(run) else []:
        _end_daemon(work, build)
    os.chdir("/")
    Tuning(work).restore()  # of a core that was killed
    try:
        for name in OURS:
            _remove(os.path.join(work, name))
        left = sorted(os.listdir(work))
        if not left:
            os.rmdir(work)
    except OSError as error:
        raise storage_fault(error, "cannot remove %s" % work) from error
    return {"removed": not left, "service": had_service, "left": left}


def _end_daemon(work: str, build: str) -> None:
    run = os.path.join(work, "run", build)
    try:
        daemon.stop(work, build, force=True)
    except daemon.NoDaemon:
        if daemon_runs(run):  # it lives but does not answer
            with open(os.path.join(run, daemon.PID), encoding="ascii") as file:
                pid = file.read().strip()
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(pid), signal.SIGKILL)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)
