"""Starts one worker, watches it, and turns whatever becomes of it into one RESPONSE or ERROR frame."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from edgeflow_agent import sysinfo
from edgeflow_agent.ahead import Setting, Started
from edgeflow_agent.channel import SocketStream
from edgeflow_agent.faults import Fault
from edgeflow_agent.sampler import Sampler
from edgeflow_agent.wire import Frame, FrameType, WireError

HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""The zipapp that holds this package, or the folder it lies in; taken now, as a daemon changes its folder."""

FIRST_PHASE = "start"
WATCH_PERIOD_S = 0.05
MAX_LOG_BYTES = 8 << 20
LOG_TAIL_BYTES = 8192
LOG_TAIL_LINES = 40
THREAD_VARIABLES = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "VECLIB_")


class Worker:
    """One worker process from start to end. `run` blocks; `stop` may come from any thread."""

    def __init__(
        self,
        request: Frame,
        log_path: str,
        lock_fd: int,
        on_progress: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._request = request
        self._params: Dict[str, Any] = request.meta["params"]
        self._log_path = log_path
        self._lock_fd = lock_fd
        self._on_progress = on_progress
        self._phase = FIRST_PHASE
        self._lock = threading.Lock()
        self._stopped_by: Optional[Fault] = None
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._sampler: Optional[Sampler] = None
        self._ended = threading.Event()
        self._began = 0.0

    def stop(self, reason: Fault) -> None:
        """Kills the worker's process group; `reason` becomes the job's error unless the answer was faster."""
        with self._lock:
            if self._stopped_by is None:
                self._stopped_by = reason
            self._kill_group()

    def run(self, started: Optional[Started] = None) -> Frame:
        """Runs the job to its end and gives the answer of the worker. Raises Fault for everything else.

        `started` is a worker that waits for this job, of its setting. The calling thread must outlive the
        worker: the kernel kills a worker with the thread that forked it (PR_SET_PDEATHSIG, prctl(2)).
        """
        self._began = time.monotonic()
        ours = None if started is None else self._take(self._adopt, started)
        adopted = ours is not None
        answer, exit_code, sampling = self._follow(self._take(self._start) if ours is None else ours)
        if adopted and answer is None and self._never_worked():
            # It was dying already when it was taken: no fault of this job, which gets a worker of its own.
            answer, exit_code, sampling = self._follow(self._take(self._start))
        if answer is None:
            assert self._process is not None
            raise self._stopped_by or self._crashed(exit_code, self._process.pid)
        if answer.type is FrameType.ERROR:
            raise self._with_log(Fault.from_meta(answer.meta.get("error")))
        if sampling is not None:
            answer.meta["result"]["sampling"] = sampling
        return answer

    def _take(self, begin: Callable[..., Any], *arguments: Any) -> Any:
        """Runs `_start` or `_adopt`; a job that was stopped meanwhile has no worker to run on."""
        with self._lock:
            ours = begin(*arguments)
            if self._stopped_by is not None:
                self._kill_group()
            return ours

    def _follow(self, ours: socket.socket) -> Tuple[Optional[Frame], Optional[int], Optional[Dict[str, Any]]]:
        """Converses with the worker to its end: its last frame, its exit code, what the sampler saw."""
        self._ended.clear()
        sampling = None
        watcher = threading.Thread(target=self._watch, args=(ours,), name="watch", daemon=True)
        try:
            watcher.start()
            answer = self._converse(SocketStream(ours))
            # Before the process is reaped: afterwards its CPU time is gone.
            if self._sampler is not None:
                sampling = self._sampler.stop()
        finally:
            exit_code = self._reap()
            if watcher.is_alive():
                watcher.join()
            ours.close()
        return answer, exit_code, sampling

    def _never_worked(self) -> bool:
        """It said nothing, and nobody stopped it."""
        with self._lock:
            return self._phase == FIRST_PHASE and self._stopped_by is None

    def _start(self) -> socket.socket:
        """Starts a worker of this job's own; gives our end of its socket."""
        lock = ("--lock-fd", str(self._lock_fd))
        started = spawn(lock, (self._lock_fd,), self._params["threads"], self._log_path)
        self._process = started.process
        return started.ours

    def _adopt(self, started: Started) -> Optional[socket.socket]:
        """Takes a worker that waits; None where it died while it waited, which is no fault of this job."""
        try:
            os.replace(started.log_path, self._log_path)
            started.give_lock(self._lock_fd)
        except OSError:
            started.end()
            return None
        self._process = started.process
        return started.ours

    def _converse(self, stream: SocketStream) -> Optional[Frame]:
        """Sends the request and follows the worker to its last frame; None when it ends without one."""
        try:
            stream.write_frame(self._request)
            while True:
                frame = stream.read_frame()
                if frame is None or frame.type in (FrameType.RESPONSE, FrameType.ERROR):
                    return frame
                if frame.type is FrameType.PROGRESS:
                    self._progress(frame.meta)
        except (OSError, WireError):
            # It died within a frame, or its runtime wrote into our socket: either way it is of no more use.
            return None

    def _progress(self, meta: Mapping[str, Any]) -> None:
        self._phase = str(meta.get("phase", ""))
        if self._params["kind"] == "bench" and self._sampler is None and self._phase in ("warmup", "run"):
            assert self._process is not None
            self._sampler = Sampler(self._process.pid, self._params["plan"]["sample_period_ms"])
            self._sampler.start()
        self._on_progress(meta)

    def _watch(self, ours: socket.socket) -> None:
        """Enforces the limits beside the conversation, and ends it when the process is gone."""
        limits = self._params["limits"]
        timeout_ms, memory_bytes = limits.get("timeout_ms"), limits.get("memory_bytes")
        deadline = None if timeout_ms is None else self._began + timeout_ms / 1000.0
        process = self._process
        assert process is not None
        while not self._ended.wait(WATCH_PERIOD_S):
            if deadline is not None and time.monotonic() >= deadline:
                message = "the job ran over its limit of %d ms in phase %s" % (timeout_ms, self._phase)
                self.stop(Fault("timeout", message, phase=self._phase))
            if memory_bytes is not None:
                rss = sysinfo.rss_bytes(process.pid)
                if rss is not None and rss > memory_bytes:
                    message = "the worker uses %d bytes, over its limit of %d" % (rss, memory_bytes)
                    self.stop(Fault("out_of_memory", message, phase=self._phase))
            # Whoever removes the log must not end the watch with it.
            with contextlib.suppress(FileNotFoundError):
                if os.path.getsize(self._log_path) > MAX_LOG_BYTES:
                    os.truncate(self._log_path, 0)
            if process.poll() is not None:
                # A child of the runtime may still hold the other end: what is buffered is read, then it ends.
                ours.shutdown(socket.SHUT_RD)
                return

    def _reap(self) -> Optional[int]:
        self._ended.set()
        process = self._process
        if process is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)  # after its last frame it ends by itself
        with self._lock:
            self._kill_group()
        return process.wait()

    def _kill_group(self) -> None:
        if self._process is not None:
            # Gone already is as good as killed; macOS says EPERM for a group of zombies.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _crashed(self, exit_code: Optional[int], pid: int) -> Fault:
        name = None
        if exit_code is not None and exit_code < 0:
            name = signal.Signals(-exit_code).name
            how = "was killed by %s" % name
        elif exit_code == 0:
            how = "ended without an answer"
        else:
            how = "exited with code %s" % exit_code
        if name == "SIGKILL":
            how += " (by the system: perhaps out of memory)"
        fault = Fault(
            "worker_crashed",
            "the %s worker %s in phase %s" % (self._params["backend"], how, self._phase),
            phase=self._phase,
            detail={
                "signal": name,
                "exit_code": None if name else exit_code,
                "phase": self._phase,
                "pid": pid,
            },
        )
        return self._with_log(fault)

    def _with_log(self, fault: Fault) -> Fault:
        """Adds the last lines that the worker printed; the reason of a load failure is often only there."""
        lines = log_tail(self._log_path)
        fault.detail["log"] = lines
        if fault.code in ("load_failed", "run_failed") and lines:
            fault.message += "; the runtime said: " + lines[-1][:200]
        return fault


def spawn(arguments: Sequence[str], pass_fds: Sequence[int], threads: int, log_path: str) -> Started:
    """Starts a worker in a session of its own, its output into the log. Raises OSError."""
    ours, theirs = socket.socketpair()
    try:
        with theirs, open(log_path, "ab", buffering=0) as log:
            process = subprocess.Popen(
                [*worker_command(), "worker", "--fd", str(theirs.fileno()), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(theirs.fileno(), *pass_fds),
                start_new_session=True,
                cwd=os.path.dirname(log_path),
                env=worker_environment(threads),
            )
    except BaseException:
        ours.close()
        raise
    return Started(process, ours, log_path)


def spawn_ahead(setting: Setting, log_path: str) -> Started:
    """Starts a worker that imports its runtime and waits for a job. Raises OSError."""
    return spawn(("--ahead", setting.to_argument()), (), setting.threads, log_path)


def worker_command() -> List[str]:
    """How this very agent is started again: the zipapp it runs from, or the package on the path."""
    return [sys.executable, HOME] if os.path.isfile(HOME) else [sys.executable, "-m", "edgeflow_agent"]


def worker_environment(threads: int) -> Dict[str, str]:
    """The core's environment with every thread pool set to `threads`: inherited OMP_* settings would distort.

    OpenBLAS is numpy's, which only carries tensors here: one thread.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(THREAD_VARIABLES)}
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        kept[name] = str(threads)
    kept["OPENBLAS_NUM_THREADS"] = "1"
    if os.path.isdir(HOME):
        kept["PYTHONPATH"] = os.pathsep.join(part for part in (HOME, kept.get("PYTHONPATH", "")) if part)
    return kept


def log_tail(path: str) -> List[str]:
    """The last lines of a log, oldest first; empty lines left out."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - LOG_TAIL_BYTES))
            text = file.read(LOG_TAIL_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-LOG_TAIL_LINES:]
