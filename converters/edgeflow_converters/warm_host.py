"""An interpreter that has imported its libraries already, and runs each script in a fork of itself. Run as a
script.

    python [-I|-P] warm_host.py

Each line of standard input is a request, {"words": [...], "cwd": ..., "log": ..., "timeout_s": ...}, where
the words are what follows the interpreter on a command line: `-m MODULE ARG ...`, `-c CODE ARG ...` or
`SCRIPT ARG ...`. The answer is a line of standard output: {"code": N}, as subprocess reports it, or {"code":
null} if it did not end in time and was killed. One request at a time. Every script runs in a process group of
its own, which gets SIGKILL when it ends, and when standard input does: whoever holds that is gone. What a
script imported is imported here before the next one. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import runpy
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from typing import Any

_NOT_SHARED = ("__main__", "__mp_main__")
_MOST_BYTES = 61440  # less than a pipe holds


def main() -> int:
    """Serves until standard input ends."""
    requests = os.dup(0)
    answers = os.dup(1)
    empty = os.open(os.devnull, os.O_RDWR)
    os.dup2(empty, 0)
    os.dup2(empty, 1)  # what an import prints is no answer
    _say(answers, {"ready": True})
    known = set(sys.modules)
    pending = b""
    while True:
        while b"\n" not in pending:
            chunk = os.read(requests, 65536)
            if not chunk:
                return 0
            pending += chunk
        line, _, pending = pending.partition(b"\n")
        code, imported = _run(json.loads(line), requests)
        _say(answers, {"code": code})
        for name in imported:
            if name not in known:
                known.add(name)
                with contextlib.suppress(Exception):  # it stays what the script imports for itself
                    importlib.import_module(name)


def _say(descriptor: int, answer: dict[str, Any]) -> None:
    os.write(descriptor, json.dumps(answer).encode() + b"\n")


def _run(request: dict[str, Any], leash: int) -> tuple[int | None, list[str]]:
    """The exit code of the script (None: killed, out of time), and the modules that it had imported at its
    end."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _become(request, writer)
    os.close(writer)
    with contextlib.suppress(OSError):  # the child may have done it, or be gone
        os.setpgid(child, child)
    ended = os.pidfd_open(child)
    told = b""
    try:
        # The leash can be read only at its end: requests come one at a time.
        waited_for, deadline = [ended, reader, leash], time.monotonic() + request["timeout_s"]
        while ready := select.select(waited_for, [], [], max(0.0, deadline - time.monotonic()))[0]:
            if reader in ready:
                chunk = os.read(reader, 65536)
                told += chunk
                if not chunk:
                    waited_for.remove(reader)
            elif ended in ready or leash in ready:
                break
    finally:
        in_time = bool(select.select([ended], [], [], 0)[0])
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        os.close(ended)
        os.close(reader)
    return (os.waitstatus_to_exitcode(status) if in_time else None), told.decode().split()


def _become(request: dict[str, Any], writer: int) -> None:
    """Be the script, to its end. Never returns."""
    code = 1
    try:
        os.setpgid(0, 0)
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(request["cwd"])
        os.environ["TMPDIR"] = request["cwd"]
        tempfile.tempdir = None
        code = _script(request["words"])
        if code == 0:
            names = (name for name in list(sys.modules) if name not in _NOT_SHARED)
            os.write(writer, " ".join(names).encode()[:_MOST_BYTES])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        ctypes.CDLL(None).fflush(None)  # what native code printed
        os._exit(code)


def _script(words: Sequence[str]) -> int:
    """Runs it as the interpreter would, and returns its exit code."""
    try:
        if words[0] == "-m":
            sys.argv = [words[1], *words[2:]]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        elif words[0] == "-c":
            sys.argv = ["-c", *words[2:]]
            exec(words[1], {"__name__": "__main__"})
        else:
            sys.argv = list(words)
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as leaving:
        if leaving.code is None or isinstance(leaving.code, int):
            return leaving.code or 0
        sys.stderr.write(f"{leaving.code}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
