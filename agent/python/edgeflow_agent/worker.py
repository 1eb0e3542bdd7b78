"""One runtime, one model, one job: the process that is measured, and that may crash.

It reads one REQUEST from its socket, sends PROGRESS at each phase, and ends with a RESPONSE or an ERROR.
Phases: start, import, load, bind, first, warmup, run.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import threading
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from edgeflow_agent import channel, sysinfo
from edgeflow_agent.ahead import Setting, receive_lock
from edgeflow_agent.faults import Fault
from edgeflow_agent.wire import Frame, FrameType, Tensor, WireError, tensors_of, with_tensors

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PROGRESS_PERIOD_NS = 200 * 1000 * 1000


def main(fd: int, lock_fd: int) -> int:
    """Serves the one job that arrives on the inherited socket `fd`; gives the exit code.

    `lock_fd` is the device's job lock: this process keeps it held for as long as it lives.
    """
    connection, interpreter_bytes = _begin(fd)
    os.set_inheritable(lock_fd, False)
    return _serve(connection, interpreter_bytes, None)


def main_ahead(fd: int, setting: str) -> int:
    """Imports the runtime of `setting` (ahead.Setting), waits for the job lock, then does as `main`."""
    connection, interpreter_bytes = _begin(fd)
    prepared = _prepare(Setting.from_argument(setting), memory=True)
    if receive_lock(connection) is None:
        return 0
    return _serve(connection, interpreter_bytes, prepared)


def _begin(fd: int) -> Tuple[socket.socket, Optional[int]]:
    """The connection to the core, and the RSS of an interpreter that has done nothing yet."""
    _die_with_parent()
    _enable_fault_handler()
    os.set_inheritable(fd, False)
    return socket.socket(fileno=fd), sysinfo.rss_bytes(os.getpid())


class _Prepared(NamedTuple):
    """A runtime that is imported, or why it is not; RSS where it was asked for, and how long it took."""

    backend: Any
    fault: Optional[Fault]
    affinity: Optional[List[int]]
    before_import: Optional[int]
    imported: Optional[int]
    import_ns: int


def _prepare(setting: Setting, *, memory: bool) -> _Prepared:
    backend, fault, affinity, before = None, None, None, None
    begin_ns = time.monotonic_ns()
    try:
        affinity = _set_affinity(setting.affinity)
        before = sysinfo.rss_bytes(os.getpid()) if memory else None
        begin_ns = time.monotonic_ns()
        if setting.site:
            # Before the interpreter's own packages: the wheels were resolved as one set.
            sys.path.insert(1, setting.site)
        from edgeflow_agent.backends import base

        backend = base.create(setting.backend)
    except Fault as error:
        fault = error
    import_ns = time.monotonic_ns() - begin_ns
    after = sysinfo.rss_bytes(os.getpid()) if memory else None
    return _Prepared(backend, fault, affinity, before, after, import_ns)


def _serve(connection: socket.socket, interpreter_bytes: Optional[int], prepared: Optional[_Prepared]) -> int:
    stream = channel.SocketStream(connection)
    request = stream.read_frame()
    if request is None:
        return 0
    threading.Thread(target=_exit_with_core, args=(connection,), daemon=True).start()
    job = _Job(stream, request, interpreter_bytes, prepared)
    try:
        answer = job.run()
    except Fault as fault:
        answer = _error(fault, job.phase)
    except MemoryError:
        answer = _error(Fault("out_of_memory", "the worker ran out of memory"), job.phase)
    except Exception as error:
        import traceback

        traceback.print_exc()
        answer = _error(Fault("internal", "%s: %s" % (type(error).__name__, error)), job.phase)
    _flush_output()
    stream.write_frame(answer)
    # No interpreter shutdown: a runtime's destructors may crash after the answer is already given.
    os._exit(0)


class _Job:
    def __init__(
        self,
        stream: channel.SocketStream,
        request: Frame,
        interpreter_bytes: Optional[int],
        prepared: Optional[_Prepared],
    ) -> None:
        self.phase = "start"
        self._stream = stream
        self._params: Dict[str, Any] = request.meta["params"]
        self._tensors = tensors_of(request)
        self._interpreter_bytes = interpreter_bytes
        self._phases_ns: Dict[str, int] = {}
        self._phase_began_ns = time.monotonic_ns()
        self._progress_ns = 0
        self._prepared = prepared
        self._backend: Any = None

    def run(self) -> Frame:
        params = self._params
        self._enter("import")
        prepared = self._prepared
        if prepared is None:
            # Only a memory job may read /proc between phases: others are timed.
            prepared = _prepare(Setting.of(params), memory=params["kind"] == "memory")
        if prepared.fault is not None:
            raise prepared.fault
        # Kept to the end: freed while a fault passes by, a runtime prints complaints over the real reason.
        backend = self._backend = prepared.backend
        self._enter("load")
        self._phases_ns["import"] = prepared.import_ns
        before_load = self._rss()
        backend.load(params["files"], params["options"], params["threads"])
        loaded = self._rss()
        result: Dict[str, Any] = {"affinity": prepared.affinity}
        tensors: List[Tensor] = []
        sets = _input_sets(self._tensors)
        self._enter("bind")
        backend.bind(sets[0][1])
        self._enter("first")
        backend.run()
        self._end_phase()
        if params["kind"] == "infer":
            tensors = self._infer(backend, sets)
        elif params["kind"] == "bench":
            tensors = self._bench(backend, result)
        elif params["kind"] == "energy":
            self._repeat(backend, result)
        else:
            self._enter("run")
            for _ in range(params["plan"]["runs"] - 1):
                backend.run()
            result["interpreter_bytes"] = self._interpreter_bytes
            result["runtime_bytes"] = _grown(prepared.before_import, prepared.imported)
            result["model_bytes"] = _grown(before_load, loaded)
            result["peak_rss_bytes"] = sysinfo.own_peak_rss_bytes()
        self._end_phase()
        result["runtime"] = backend.info().to_json()
        result["inputs"], result["outputs"] = backend.inputs(), backend.outputs()
        result["init_ns"] = self._phases_ns["load"]
        result["first_ns"] = self._phases_ns["first"]
        result["phases_ns"] = self._phases_ns
        try:
            return with_tensors(FrameType.RESPONSE, {"id": 1, "result": result}, tensors)
        except WireError as error:
            raise Fault("run_failed", "the outputs do not fit one frame: %s" % error) from error

    def _infer(self, backend: Any, sets: List[Tuple[int, List[Tensor]]]) -> List[Tensor]:
        found: List[Tensor] = []
        self._enter("run")
        for position, (number, inputs) in enumerate(sets):
            if position > 0:  # the first set has been bound and run already
                backend.bind(inputs)
                backend.run()
            found.extend(tensor._replace(set=number) for tensor in backend.read())
            self._progress("run", position + 1, len(sets), "")
        return found

    def _bench(self, backend: Any, result: Dict[str, Any]) -> List[Tensor]:
        from edgeflow_agent import harness

        plan = harness.Plan.from_meta(self._params["plan"])
        measured = harness.bench(backend.run, plan, self._report)
        result["stop"] = measured.stop
        result["clock"] = harness.clock_facts()
        found = []
        for name in ("warmup_ns", "samples_ns", "starts_ns"):
            values = getattr(measured, name)
            if sys.byteorder == "big":
                values.byteswap()
            found.append(Tensor(name, "int64", (len(values),), values.tobytes()))
        return found

    def _repeat(self, backend: Any, result: Dict[str, Any]) -> None:
        from edgeflow_agent import harness

        self._enter("warmup")
        harness.repeat(backend.run, self._params["plan"]["warmup_ns"])
        self._enter("run")
        loop = harness.repeat(backend.run, self._params["plan"]["loop_ns"])
        result["loop"] = {"begin_ns": loop.begin_ns, "end_ns": loop.end_ns, "inferences": loop.runs}

    def _rss(self) -> Optional[int]:
        # Only a memory job may read /proc between phases: others are timed.
        return sysinfo.rss_bytes(os.getpid()) if self._params["kind"] == "memory" else None

    def _report(self, phase: str, done: int, total: int, note: str) -> None:
        # The harness enters warmup and run by its first report of each.
        if phase != self.phase:
            self._enter(phase)
        else:
            self._progress(phase, done, total, note)

    def _enter(self, phase: str) -> None:
        self._end_phase()
        self._progress(phase, 0, 0, "")
        self._phase_began_ns = time.monotonic_ns()

    def _end_phase(self) -> None:
        if self.phase not in self._phases_ns:
            self._phases_ns[self.phase] = time.monotonic_ns() - self._phase_began_ns

    def _progress(self, phase: str, done: int, total: int, note: str) -> None:
        now = time.monotonic_ns()
        if phase == self.phase and now - self._progress_ns < PROGRESS_PERIOD_NS:
            return
        self.phase = phase
        self._progress_ns = now
        meta = {"id": 1, "phase": phase, "done": done, "total": total, "note": note}
        self._stream.write_frame(Frame(FrameType.PROGRESS, meta))


def _input_sets(tensors: List[Tensor]) -> List[Tuple[int, List[Tensor]]]:
    """Input sets in order of their numbers; a tensor without a number belongs to set 0."""
    sets: Dict[int, List[Tensor]] = {}
    for tensor in tensors:
        sets.setdefault(tensor.set or 0, []).append(tensor)
    return sorted(sets.items())


def _grown(before: Optional[int], after: Optional[int]) -> Optional[int]:
    return None if before is None or after is None else after - before


def _error(fault: Fault, phase: str) -> Frame:
    fault.phase = fault.phase or phase
    return Frame(FrameType.ERROR, {"id": 1, "error": fault.to_meta()})


def _set_affinity(cpus: Optional[List[int]]) -> Optional[List[int]]:
    """Pins this process before the runtime starts threads; gives what the kernel took, None if not asked."""
    if cpus is None:
        return None
    if not hasattr(os, "sched_setaffinity"):
        raise Fault("unsupported_setting", "this system has no CPU affinity; leave affinity out")
    allowed = sorted(os.sched_getaffinity(0))
    if not cpus or not set(cpus) <= set(allowed):
        raise Fault(
            "unsupported_setting", "affinity %s is not within this device's CPUs %s" % (cpus, allowed)
        )
    os.sched_setaffinity(0, cpus)
    return sorted(os.sched_getaffinity(0))


def _die_with_parent() -> None:
    """Has the kernel kill this process when the core dies, even in a long native call (prctl(2), Linux)."""
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def _exit_with_core(connection: socket.socket) -> None:
    """Ends the process when the core's end of the socket closes: the core sends nothing after the request."""
    try:
        connection.recv(1)
    finally:
        os._exit(1)


def _enable_fault_handler() -> None:
    import faulthandler

    faulthandler.enable()


def _flush_output() -> None:
    """Brings what native code printed into the log file: C's stdout is buffered when it is a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)
