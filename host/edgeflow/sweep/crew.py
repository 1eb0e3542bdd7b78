"""Does a sweep's work: one thread a device, a bounded pool for conversions, one thread that decides.

The deciding thread alone touches the Board; the others do one task at a time and report. It waits for a
report or for the next time at which something may begin; the caller's thread only looks for Ctrl-C.
"""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from edgeflow.sweep.faults import BUSY, Fault, classify
from edgeflow.sweep.scheduler import AskTemperature, Job, Wake

if TYPE_CHECKING:
    from edgeflow.progress import Progress
    from edgeflow.sweep.events import Teller
    from edgeflow.sweep.matrix import ConversionKey
    from edgeflow.sweep.scheduler import Board

_LAST_WORDS_S = 10.0
_SIGNAL_S = 0.2


@dataclass(frozen=True, slots=True)
class Outcome:
    """A job that is done: its result is committed. `cool_to_c`: it throttled, and began at about that."""

    result_id: str
    figures: dict[str, Any]
    cool_to_c: float | None = None


class Executor(Protocol):
    """What does the work itself. What concerns one device is never called at once."""

    def convert(self, key: ConversionKey, progress: Progress) -> dict[str, Any]:
        """Makes the product that jobs of this key take; figures about it. Raises EdgeflowError."""

    def run(self, job: Job, progress: Progress) -> Outcome:
        """Measures and commits. Raises EdgeflowError, of which nothing is committed."""

    def reached(self, device: str) -> bool:
        """Whether the device answers, after an error of a job there."""

    def temperature_c(self, device: str) -> float | None:
        """How hot the device is now; None where it does not tell."""

    def settle(self, job: Job, status: str) -> None:
        """Commits what became of a job that has no result ("failed", or "pending" with its fault)."""

    def forget(self, device: str) -> None:
        """Lets go of the device."""

    def interrupt(self) -> None:
        """No job goes on: those that wait, and hear nothing by their progress, end with Stopped."""


class Stopped(BaseException):
    """Raised inside a job when the sweep is interrupted: the device is to be free for others at once."""


class Crew:
    """One run of a board's work. `run` may be called once."""

    def __init__(self, board: Board, executor: Executor, teller: Teller, *, conversions: int) -> None:
        self._board = board
        self._executor = executor
        self._teller = teller
        self._conversions = conversions
        self._reports: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._tasks: dict[str, queue.SimpleQueue[Callable[[], None] | None]] = {}
        self._threads: list[threading.Thread] = []
        self._converting = 0
        self._alarms: list[tuple[float, str]] = []
        self._stop = threading.Event()
        self._over = threading.Event()
        self._broken: BaseException | None = None

    def run(self) -> None:
        """Works until nothing is left that can be done. Raises what broke the sweep as a whole (a store that
        cannot be written), and KeyboardInterrupt; jobs that were under way are then as if never begun.
        """
        # Ctrl-C falls on the caller's thread. That one only waits, so no decision is torn in its middle.
        decider = threading.Thread(target=self._decide, name="sweep", daemon=True)
        try:
            decider.start()
            # A signal just before the wait begins wakes nobody in CPython: it is looked for again and again.
            while not self._over.wait(_SIGNAL_S):
                pass
        finally:
            self._stop.set()
            self._reports.put(lambda: None)  # it may be waiting for one
            self._over.wait(_LAST_WORDS_S + 1)
        if self._broken is not None:
            raise self._broken

    def _decide(self) -> None:
        try:
            self._begin_conversions()
            for device in self._board.devices:
                self._offer(device)
            while not self._board.over:
                self._next_report()()
                if self._stop.is_set():
                    break
                self._begin_conversions()
        except BaseException as error:
            self._broken = error
        finally:
            self._end()
            self._over.set()

    def _next_report(self) -> Callable[[], None]:
        timeout_s = None
        if self._alarms:
            timeout_s = max(0.0, self._alarms[0][0] - time.monotonic())
        try:
            return self._reports.get(timeout=timeout_s)
        except queue.Empty:
            _, device = heapq.heappop(self._alarms)
            return lambda: self._offer(device)

    def _begin_conversions(self) -> None:
        while self._converting < self._conversions:
            key = self._board.next_conversion()
            if key is None:
                return
            self._converting += 1
            thread = threading.Thread(
                target=self._convert, args=(key,), name=f"convert {key.model}", daemon=True
            )
            self._threads = [known for known in self._threads if known.is_alive()]
            self._threads.append(thread)
            thread.start()

    def _convert(self, key: ConversionKey) -> None:
        fault: Fault | None = None
        figures: dict[str, Any] = {}
        self._teller.tell("conversion_started", **key._asdict())
        try:
            figures = self._executor.convert(key, _Progress(self._teller, self._stop, key._asdict()))
        except Stopped:
            return
        except Exception as error:
            fault = classify(error)
        self._reports.put(lambda: self._converted(key, fault, figures))

    def _converted(self, key: ConversionKey, fault: Fault | None, figures: dict[str, Any]) -> None:
        self._converting -= 1
        if fault is None:
            self._teller.tell("conversion_finished", **key._asdict(), **figures)
        else:
            self._teller.tell("conversion_failed", **key._asdict(), error=fault.to_json())
        woken, failed = self._board.converted(key, fault)
        for job in failed:
            self._settle(job, "failed")
        for device in woken:
            self._offer(device)

    def _offer(self, device: str) -> None:
        """Has the device begin what it can begin now."""
        match self._board.next_job(device, time.monotonic()):
            case Job() as job:
                self._assign(device, lambda: self._work(device, job))
            case AskTemperature():
                self._assign(device, lambda: self._ask(device))
            case Wake(at) if at is not None:
                heapq.heappush(self._alarms, (at, device))
            case _:
                pass

    def _assign(self, device: str, task: Callable[[], None]) -> None:
        if device not in self._tasks:
            self._tasks[device] = queue.SimpleQueue()
            thread = threading.Thread(
                target=self._serve, args=(device, self._tasks[device]), name=f"device {device}", daemon=True
            )
            self._threads.append(thread)
            thread.start()
        self._tasks[device].put(task)

    def _serve(self, device: str, tasks: queue.SimpleQueue[Callable[[], None] | None]) -> None:
        try:
            while not self._stop.is_set() and (task := tasks.get()) is not None:
                task()
        except Stopped:
            pass
        except BaseException as error:
            self._reports.put(lambda error=error: self._break(error))  # type: ignore[misc]
        finally:
            self._executor.forget(device)

    def _work(self, device: str, job: Job) -> None:
        what = _described(job)
        self._teller.tell("job_started", **what)
        try:
            outcome = self._executor.run(job, _Progress(self._teller, self._stop, what))
        except SweepBroken as error:
            raise error.cause from error
        except Exception as error:
            self._executor.forget(device)
            fault = classify(error)
            if fault.kind == "device" and not fault.retry:
                fault = classify(error, reached=self._executor.reached(device))
            self._reports.put(lambda: self._failed(device, job, fault))
            return
        self._reports.put(lambda: self._finished(device, job, outcome))

    def _finished(self, device: str, job: Job, outcome: Outcome) -> None:
        self._board.finished(device, time.monotonic(), cool_to_c=outcome.cool_to_c)
        told = {"status": "ok", "result_id": outcome.result_id, **outcome.figures}
        self._teller.tell("job_finished", **_described(job), **told, left=self._board.left(device))
        self._offer(device)

    def _failed(self, device: str, job: Job, fault: Fault) -> None:
        verdict = self._board.failed(device, fault, time.monotonic())
        error = fault.to_json()
        if verdict.what == "retry":
            name = "device_busy" if fault.kind == BUSY else "job_retried"
            self._teller.tell(name, **_described(job), error=error, wait_s=round(verdict.wait_s, 1))
        elif verdict.what == "failed":
            self._settle(job, "failed")
        else:
            for stranded in verdict.stranded:
                self._executor.settle(stranded, "pending")
            self._teller.tell(
                "device_quarantined",
                device=device,
                error=error,
                moved=[{"cell": moved.cell.id, "to": moved.device} for moved in verdict.moved],
                stranded=len(verdict.stranded),
            )
            for other in {moved.device for moved in verdict.moved}:
                self._offer(other)
        self._offer(device)

    def _settle(self, job: Job, status: str) -> None:
        self._executor.settle(job, status)
        error = None if job.fault is None else job.fault.to_json()
        left = self._board.left(job.device)
        self._teller.tell("job_finished", **_described(job), status=status, error=error, left=left)

    def _ask(self, device: str) -> None:
        temperature_c = self._executor.temperature_c(device)
        self._reports.put(lambda: self._cooled(device, temperature_c))

    def _cooled(self, device: str, temperature_c: float | None) -> None:
        if not self._board.cooled(device, temperature_c, time.monotonic()):
            self._teller.tell("device_cooling", device=device, temperature_c=temperature_c)
        self._offer(device)

    @staticmethod
    def _break(error: BaseException) -> None:
        raise error

    def _end(self) -> None:
        """Ends the threads: at once where they wait, at their job's next word where they work."""
        self._stop.set()
        self._executor.interrupt()
        for tasks in self._tasks.values():
            tasks.put(None)
        deadline = time.monotonic() + _LAST_WORDS_S
        for thread in self._threads:
            if thread.name.startswith("device "):
                thread.join(max(0.0, deadline - time.monotonic()))


class SweepBroken(Exception):
    """What ends a sweep as a whole: the store cannot take results."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _Progress:
    """A job's own progress as events, and where it hears that it is to stop."""

    def __init__(self, teller: Teller, stop: threading.Event, what: dict[str, Any]) -> None:
        self._teller = teller
        self._stop = stop
        self._what = what

    def step(self, text: str) -> None:
        self._check()
        self._teller.tell("progress", **self._what, step=text)

    def update(self, done: float, total: float | None) -> None:
        self._check()
        self._teller.tell("progress", **self._what, done=done, total=total)

    def note(self, text: str) -> None:
        self._teller.tell("note", **self._what, text=text)

    def _check(self) -> None:
        if self._stop.is_set():
            raise Stopped


def _described(job: Job) -> dict[str, Any]:
    return {
        "device": job.device,
        "cell": job.cell.id,
        "label": job.cell.label,
        "repeat": job.repeat,
        "attempt": job.attempts + 1,
    }
