"""The lab's one way to run a program of this machine."""

from __future__ import annotations

import os
import subprocess  # noqa: TID251 - the lab builds and starts machines; nothing else here starts a process
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgeflow.errors import EdgeflowError, ToolMissingError


class LabError(EdgeflowError):
    """A lab device could not be built, started or stopped."""

    exit_code = 3


def run(argv: Sequence[str], what: str, *, timeout_s: float, env: Mapping[str, str] | None = None) -> str:
    """Runs a program to its end and returns what it printed on stdout.

    Raises LabError beginning with `what` when it fails or takes longer, ToolMissingError without it.
    """
    try:
        done = subprocess.run(
            list(argv),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            env={**os.environ, "LC_ALL": "C", **(env or {})},
            check=False,
        )
    except FileNotFoundError as error:
        raise ToolMissingError(
            f"{what}: {argv[0]} is not installed", hint=f"apt install {argv[0]}"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{what}: {argv[0]} did not end within {timeout_s:g} s") from error
    if done.returncode:
        words = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
        raise LabError(f"{what}: {argv[0]}: {words.splitlines()[-1]}", detail=words)
    return done.stdout


def start_python(script: Path, log: Path) -> subprocess.Popen[bytes]:
    """Starts a Python program of ours with unbuffered pipes to its stdin and stdout; its stderr is `log`.

    It has a session of its own, so that it outlives us.
    """
    with log.open("wb") as target:
        return subprocess.Popen(
            [sys.executable, "-I", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=target,
            cwd="/",
            bufsize=0,
            start_new_session=True,
        )
