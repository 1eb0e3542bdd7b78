"""QEMU's monitor: pressing a running virtual machine's reset button (QEMU, docs/interop/qmp-spec)."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgeflow.lab.commands import LabError
from edgeflow.lab.qemu import MONITOR

_ANSWER_S = 20.0


def reset(name: str, folder: Path) -> None:
    """Resets the machine whose folder this is, and returns once it begins anew. Raises LabError."""
    # A socket's path may have 107 bytes only; a home's can be longer.
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(_ANSWER_S)
            link.connect(f"/proc/self/fd/{handle}/{MONITOR}")
            said = _lines(link)
            next(said)  # its greeting
            for command, answer in (("qmp_capabilities", "return"), ("system_reset", "RESET")):
                link.sendall(json.dumps({"execute": command}).encode())
                _await(said, answer, f"{name}: {command}")
    except (OSError, ValueError, StopIteration) as error:
        raise LabError(f"{name}: QEMU's monitor does not answer: {error}") from error
    finally:
        os.close(handle)


def _await(said: Iterator[dict[str, Any]], wanted: str, what: str) -> None:
    for words in said:
        if "error" in words:
            raise LabError(f"{what}: {words['error'].get('desc', words)}")
        if wanted in words or words.get("event") == wanted:
            return
    raise LabError(f"{what}: QEMU ended")


def _lines(link: socket.socket) -> Iterator[dict[str, Any]]:
    with link.makefile("rb") as stream:
        for line in stream:
            yield json.loads(line)
