"""A worker started ahead: its interpreter and its runtime are ready when the next job of the same kind comes.

A deploy runs several jobs one after another, each in a fresh process. Starting the next process and importing
its runtime while the job before it runs takes that time off every job but the first. It waits without using
the CPU, and is never there beside a bench: the last job before a bench starts the bench's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
from array import array
from typing import Any, Callable, Dict, List, NamedTuple, Optional

LOG_PREFIX = "ahead-"
"""Its log's name, then the core's pid: a log whose core is gone belongs to nobody."""

PATIENCE_S = 10.0
"""A worker that no job takes for so long is ended: its memory is somebody else's."""


class Setting(NamedTuple):
    """What a worker must be started with; a job takes a worker of exactly its own setting."""

    backend: str
    threads: int
    affinity: Optional[List[int]]
    site: Optional[str]

    @classmethod
    def of(cls, params: Dict[str, Any]) -> Setting:
        return cls(params["backend"], params["threads"], params["affinity"], params["site"])

    def to_argument(self) -> str:
        """The setting as one word of a worker's command line."""
        return json.dumps(self._asdict())

    @classmethod
    def from_argument(cls, word: str) -> Setting:
        return cls(**json.loads(word))


class Started(NamedTuple):
    """A worker process that waits for its job, and the core's end of its socket."""

    process: subprocess.Popen[bytes]
    ours: socket.socket
    log_path: str

    def give_lock(self, lock_fd: int) -> None:
        """Hands the device's job lock over, which ends the wait (SCM_RIGHTS, unix(7)). Raises OSError."""
        self.ours.sendmsg([b"L"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [lock_fd]))])

    def end(self) -> None:
        """Kills the process and removes its log."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.ours.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.log_path)


Task = Callable[[Optional[Started]], None]
"""A job's supervision; gets the worker that waits for it, or None to start its own."""


class Ahead:
    """One worker started ahead, in a thread that then supervises the job that takes it.

    The same thread, because the kernel kills a worker with the thread that forked it (prctl(2)).
    """

    def __init__(self, setting: Setting, spawn: Callable[[], Started]) -> None:
        self.setting = setting
        self._spawn = spawn
        self._changed = threading.Condition()
        self._task: Optional[Task] = None
        self._over = False
        self.thread = threading.Thread(target=self._serve, name="ahead", daemon=True)
        self.thread.start()

    def take(self, task: Task) -> bool:
        """Runs `task` in this worker's thread; False when the worker is not to be had any more."""
        with self._changed:
            if self._over:
                return False
            self._task, self._over = task, True
            self._changed.notify_all()
            return True

    def dismiss(self) -> None:
        """Ends a worker that nobody took; returns when it is gone."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
            taken = self._task is not None
        if not taken:
            self.thread.join()

    def _serve(self) -> None:
        started: Optional[Started] = None
        with contextlib.suppress(OSError):  # whoever takes it starts its own, and is told why that fails
            started = self._spawn()
        with self._changed:
            self._changed.wait_for(lambda: self._over, timeout=PATIENCE_S)
            self._over = True
            task = self._task
        if task is not None:
            task(started)
        elif started is not None:
            started.end()


def receive_lock(connection: socket.socket) -> Optional[int]:
    """In the worker: waits for the job lock; None when the core ended instead."""
    data, rights, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(array("i").itemsize))
    if not data or not rights:
        return None
    received = array("i")
    received.frombytes(rights[0][2][: received.itemsize])
    os.set_inheritable(received[0], False)
    return received[0]
