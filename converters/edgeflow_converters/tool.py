"""Run a converter or a vendor library in a subprocess: it may abort, hang or fork, and we do not.

The tool gets a private working folder, no standard input, its own process group, and a timeout. Its
output is kept. When we time out, are interrupted or are killed, the whole group dies (see leash.py).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeflow_converters import leash, warm
from edgeflow_converters.errors import ConverterFailed, ConverterTimeout, ToolMissing

_LOG_TAIL_CHARS = 4000
_GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that ended by itself. `returncode` is negative for a signal, as in subprocess."""

    returncode: int
    log: str


def run(
    argv: Sequence[str],
    *,
    name: str,
    cwd: Path,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
) -> Finished:
    """Run `argv` in `cwd` to its end and return its exit code and output, whatever they are.

    Raises ConverterTimeout when it does not end within `timeout_s`, ToolMissing when it cannot be started.
    """
    log_path = cwd / f"{name}.log"
    try:
        code = warm.run(argv, cwd, log_path, timeout_s, env or {})
    except TimeoutError:
        raise _late(name, timeout_s, log_path) from None
    if code is not None:
        return Finished(code, _tail(log_path))
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", leash.__file__, str(log_path), *argv],
        cwd=cwd,
        env={**os.environ, "TMPDIR": str(cwd), **(env or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        # communicate() would close stdin at once, and stdin is the leash.
        try:
            process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise _late(name, timeout_s, log_path) from None
        answer = process.stdout.read().decode()
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(timeout=_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if not answer:
        raise ConverterFailed(f"{name} was killed from outside", log=_tail(log_path))
    if answer == "127" and not Path(argv[0]).is_file():
        raise ToolMissing(f"cannot start {name}: {argv[0]} does not exist", log=_tail(log_path))
    return Finished(int(answer), _tail(log_path))


def run_checked(
    argv: Sequence[str],
    *,
    name: str,
    cwd: Path,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
) -> str:
    """Like run(), but any exit code other than 0 is ConverterFailed. Returns the log."""
    finished = run(argv, name=name, cwd=cwd, timeout_s=timeout_s, env=env)
    if finished.returncode != 0:
        raise ConverterFailed(
            f"{name} {how_it_ended(finished.returncode)}{last_words(finished.log)}", log=finished.log
        )
    return finished.log


def how_it_ended(returncode: int) -> str:
    """`crashed (SIGSEGV)` or `exited with code 3`."""
    if returncode < 0:
        try:
            return f"crashed ({signal.Signals(-returncode).name})"
        except ValueError:
            return f"crashed (signal {-returncode})"
    return f"exited with code {returncode}"


def last_words(log: str) -> str:
    """`: the last line of the log`, to end a message with; "" for an empty log."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return f": {lines[-1][:200]}" if lines else ""


def _late(name: str, timeout_s: float, log_path: Path) -> ConverterTimeout:
    return ConverterTimeout(
        f"{name} did not end within {timeout_s:g} s and was stopped",
        hint="run again with --debug to see where it hangs, or try another runtime",
        log=_tail(log_path),
    )


def _tail(log_path: Path) -> str:
    try:
        text = log_path.read_text(errors="replace")
    except FileNotFoundError:
        return ""
    return text[-_LOG_TAIL_CHARS:]
