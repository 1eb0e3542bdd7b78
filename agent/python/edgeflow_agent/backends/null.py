"""A runtime that does nothing, on purpose: it echoes its inputs, and fails in chosen ways.

It measures the harness's own overhead and lets tests drive every failure of a worker. It needs no file.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any, Dict, List, Mapping, NoReturn, Sequence

from edgeflow_agent.backends.base import RuntimeInfo
from edgeflow_agent.faults import Fault
from edgeflow_agent.wire import Tensor

PHASES = ("load", "bind", "run")
CRASHES = ("abort", "segv", "hang", "exit", "rubbish", "fault", "exception")


def create() -> NullBackend:
    """A backend with no model."""
    return NullBackend()


class NullBackend:
    """Echoes its inputs. Options:

    `delay_ns` sleeps in each run; `allocate_bytes` is allocated and touched by load; load writes `print` to
    stdout. `crash` (one of CRASHES) happens in the verb `crash_phase` (one of PHASES, default run), in run
    after `crash_after_runs` good ones.
    """

    def __init__(self) -> None:
        self._options: Dict[str, Any] = {}
        self._delay_s = 0.0
        self._ballast = bytearray()
        self._bound: Sequence[Tensor] = ()
        self._runs = 0

    def load(self, files: Mapping[str, str], options: Mapping[str, Any], threads: int) -> None:
        known: Dict[str, Any] = {
            "delay_ns": 0, "allocate_bytes": 0, "crash": None, "crash_phase": "run",
            "crash_after_runs": 0, "print": None,
        }  # fmt: skip
        unknown = sorted(set(options) - set(known))
        if unknown:
            raise Fault("bad_request", "null has no option %s; known: %s" % (unknown[0], " ".join(known)))
        self._options = dict(known, **options)
        if self._options["crash"] not in (None, *CRASHES) or self._options["crash_phase"] not in PHASES:
            raise Fault("bad_request", "null: crash is one of %s, crash_phase of %s" % (CRASHES, PHASES))
        self._crashes = self._options["crash"] is not None
        self._delay_s = self._options["delay_ns"] / 1e9
        if self._options["print"] is not None:
            sys.stdout.write(self._options["print"] + "\n")
            sys.stdout.flush()
        self._ballast = bytearray(b"\x01") * int(self._options["allocate_bytes"])
        self._crash_in("load")

    def inputs(self) -> List[str]:
        return [tensor.name for tensor in self._bound]

    def outputs(self) -> List[str]:
        return self.inputs()

    def bind(self, tensors: Sequence[Tensor]) -> None:
        self._bound = tuple(tensors)
        self._crash_in("bind")

    def run(self) -> None:
        if self._crashes and self._runs >= self._options["crash_after_runs"]:
            self._crash_in("run")
        self._runs += 1
        if self._delay_s:
            time.sleep(self._delay_s)

    def read(self) -> List[Tensor]:
        return [tensor._replace(data=bytes(tensor.data), set=None) for tensor in self._bound]

    def info(self) -> RuntimeInfo:
        return RuntimeInfo("null", "1", "none", dict(self._options))

    def _crash_in(self, phase: str) -> None:
        if self._crashes and phase == self._options["crash_phase"]:
            _crash(self._options["crash"])


def _crash(kind: str) -> NoReturn:
    if kind == "fault":
        raise Fault("run_failed", "null was told to fail")
    if kind == "exception":
        raise RuntimeError("null was told to raise")
    if kind == "exit":
        os._exit(3)
    if kind == "rubbish":
        os.write(int(sys.argv[sys.argv.index("--fd") + 1]), b"rubbish" * 16)  # into the core's own socket
        os._exit(0)
    if kind == "hang":
        while True:
            time.sleep(3600)
    os.kill(os.getpid(), signal.SIGABRT if kind == "abort" else signal.SIGSEGV)
    raise SystemExit("a fatal signal did not end this process")
