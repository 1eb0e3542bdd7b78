"""Many conversions one after the other, without paying for a Python start-up and its imports in each step.

Within `with keep_warm():`, tool.run() hands every Python script to an interpreter that has its libraries
imported already and runs it in a fork of itself (warm_host.py): the same isolation, timeouts and logs,
seconds sooner. For batches; a single conversion would start each interpreter only once anyway.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from edgeflow_converters import warm_host

_START_TIMEOUT_S = 20.0
_GRACE_S = 10.0
_MODES = ("-I", "-P")


class _Host:
    """One interpreter that is kept warm. Not for two threads at once."""

    def __init__(self, interpreter: str, modes: Sequence[str], env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [interpreter, *modes, warm_host.__file__],
            env={**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def starts(self) -> bool:
        """Whether it is an interpreter that can do this: a stand-in may be anything."""
        try:
            return "ready" in self._answer(_START_TIMEOUT_S)
        except EOFError:
            return False

    def run(self, words: Sequence[str], cwd: Path, log: Path, timeout_s: float) -> int:
        """The exit code of the script. Raises TimeoutError when it was killed for being late, EOFError if the
        host died."""
        assert self._process.stdin is not None
        request = {"words": list(words), "cwd": str(cwd), "log": str(log), "timeout_s": timeout_s}
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise EOFError from None
        code = self._answer(timeout_s + _GRACE_S)["code"]
        if code is None:
            raise TimeoutError
        return int(code)

    def _answer(self, timeout_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], timeout_s)[0]:
            raise EOFError
        try:
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        except ValueError:
            raise EOFError from None
        return answer

    def close(self) -> None:
        """Ends the host, and what it runs."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class _Hosts:
    """The warm interpreters of one thread, by how they are started; None for what cannot be kept warm."""

    def __init__(self) -> None:
        self._hosts: dict[tuple[object, ...], _Host | None] = {}

    def get(self, interpreter: str, modes: Sequence[str], env: Mapping[str, str]) -> _Host | None:
        key = (interpreter, *modes, *sorted(env.items()))
        if key not in self._hosts:
            host = _Host(interpreter, modes, env)
            self._hosts[key] = host if host.starts() else None
            if self._hosts[key] is None:
                host.close()
        return self._hosts[key]

    def drop(self, dead: _Host) -> None:
        self._hosts = {key: host for key, host in self._hosts.items() if host is not dead}
        dead.close()

    def close(self) -> None:
        for host in self._hosts.values():
            if host is not None:
                host.close()


_HOSTS: ContextVar[_Hosts | None] = ContextVar("warm hosts", default=None)


@contextlib.contextmanager
def keep_warm() -> Iterator[None]:
    """Keep the interpreters of this thread's tools warm until the block ends."""
    hosts = _Hosts()
    before = _HOSTS.set(hosts)
    try:
        yield
    finally:
        _HOSTS.reset(before)
        hosts.close()


def run(argv: Sequence[str], cwd: Path, log: Path, timeout_s: float, env: Mapping[str, str]) -> int | None:
    """The exit code of the Python script `argv`, run in a warm interpreter; None where there is none for it,
    and it is to be run as any command. Raises TimeoutError when it was killed for being late."""
    hosts = _HOSTS.get()
    modes = [word for word in argv[1:2] if word in _MODES]
    host = hosts.get(argv[0], modes, env) if hosts is not None and modes else None
    if hosts is None or host is None:
        return None
    try:
        return host.run(argv[2:], cwd, log, timeout_s)
    except EOFError:
        hosts.drop(host)  # the next script gets a new one
        return None
