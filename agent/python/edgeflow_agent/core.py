"""The one-shot core: one connection on stdin and stdout, for as long as the host keeps stdin open."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType as StackFrame
from typing import Optional

from edgeflow_agent.channel import PipeStream, Waker
from edgeflow_agent.folder import WorkFolder
from edgeflow_agent.server import Core, Session


def run(work: str, build: str, *, root: str = "/") -> int:
    """Serves stdin and stdout until end of input, `shutdown` or a signal; its worker ends with it.

    stdout carries frames only: descriptor 1 is moved away first, so that a stray print lands on stderr.
    Power sources are looked for under `root`.
    """
    read_fd, write_fd = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    stream = PipeStream(read_fd, write_fd)
    exit_on_signals(stream.waker)
    core = Core(WorkFolder(work), build, persistent=False, root=root)
    try:
        return Session(core, stream).serve()
    finally:
        core.jobs.close()


def exit_on_signals(waker: Waker) -> None:
    """SIGTERM, SIGINT and SIGHUP raise SystemExit in the main thread, so that every `finally` runs.

    They also wake what the main thread waits in: Python runs a handler between two of its instructions, which
    never come if the signal arrived just before the wait began, or in another thread.
    """

    def leave(number: int, frame: Optional[StackFrame]) -> None:
        for later in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(later, signal.SIG_IGN)  # one clean-up, undisturbed
        sys.exit(128 + number)

    signal.set_wakeup_fd(waker.write_fd, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, leave)
