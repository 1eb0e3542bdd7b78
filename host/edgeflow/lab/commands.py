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


def run(
    argv: Sequence[str],
    what: str,
    *,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> str:
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
            cwd=folder,
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


def start(argv: Sequence[str], log: Path, *, folder: Path) -> int:
    """Starts a program that outlives us, in `folder`, and returns its process id; what it says goes to `log`.

    Raises ToolMissingError without it.
    """
    with log.open("wb") as target:
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=target,
                stderr=target,
                cwd=folder,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise ToolMissingError(f"{argv[0]} is not installed") from error
    process.returncode = 0  # it goes on without us: no warning about that when this object goes
    return process.pid


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
