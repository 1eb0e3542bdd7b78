"""Which job runs next where: a state machine without threads or a clock of its own; `now` is given to it.

One job at a time on a device. Jobs of a higher priority first; then all cells once before any again, so that
drift hits all alike. A job waits for its conversion; meanwhile its device takes one whose product is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from edgeflow.sweep.faults import BUSY, Fault, pause_s
from edgeflow.sweep.matrix import Cell, ConversionKey

_HOT_AGAIN_S = 5.0  # how often a device that cools down is asked for its temperature


class JobKey(NamedTuple):
    """One run of one cell."""

    cell_id: str
    repeat: int


@dataclass(slots=True)
class Job:
    """A job that is not settled. `device` is the cell's own or a stand-in."""

    cell: Cell
    repeat: int
    order: tuple[int, int, int]  # -priority, repeat, position
    device: str
    attempts: int = 0  # that failed
    busy_times: int = 0
    busy_since: float | None = None
    not_before: float = 0.0
    fault: Fault | None = None  # the last one

    @property
    def key(self) -> JobKey:
        return JobKey(self.cell.id, self.repeat)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a plan says of waiting and giving up. Times in seconds."""

    attempts: int = 3
    busy_patience_s: float = 1800.0
    rest_s: float = 0.0
    cool_below_c: float | None = None
    rest_at_most_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Wake:
    """Nothing to do before this time; None: before something else happens."""

    at: float | None


@dataclass(frozen=True, slots=True)
class AskTemperature:
    """The device may go on once it is no hotter than this: ask it, and tell `cooled`."""

    below_c: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from a failed job. `moved`: jobs that a stand-in takes; `stranded`: those that wait for a
    resume, of a device that is given up.
    """

    what: Literal["retry", "failed", "quarantine"]
    wait_s: float = 0.0
    moved: tuple[Job, ...] = ()
    stranded: tuple[Job, ...] = ()


@dataclass(slots=True)
class _Rest:
    since: float
    until: float
    below_c: float | None


@dataclass(slots=True)
class _Device:
    waiting: list[Job] = field(default_factory=list)  # in order
    running: Job | None = None
    not_before: float = 0.0
    rest: _Rest | None = None
    strikes: int = 0  # jobs given up in a row for faults that blame the device
    given_up: Fault | None = None


class Board:
    """The state of one sweep's work. Every method is called by one thread."""

    def __init__(
        self,
        jobs: Iterable[Job],
        *,
        rules: Rules,
        stand_ins: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._rules = rules
        self._stand_ins = stand_ins or {}
        self._devices: dict[str, _Device] = {}
        self._unconverted: dict[ConversionKey, None] = {}  # in the order in which they are first needed
        self._converting: set[ConversionKey] = set()
        self._ready: set[ConversionKey] = set()
        for job in sorted(jobs, key=lambda job: job.order):
            self._devices.setdefault(job.device, _Device()).waiting.append(job)
            self._unconverted[job.cell.conversion] = None

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that have, or had, jobs."""
        return tuple(self._devices)

    @property
    def over(self) -> bool:
        """Whether nothing runs and nothing can."""
        return not self._converting and not any(
            device.running or (device.waiting and device.given_up is None)
            for device in self._devices.values()
        )

    def running(self) -> list[Job]:
        return [device.running for device in self._devices.values() if device.running is not None]

    def left(self, device: str) -> int:
        """Jobs that the device has before it, the running one included."""
        state = self._devices[device]
        return len(state.waiting) + (state.running is not None)

    def given_up(self) -> dict[str, Fault]:
        """The quarantined devices, each with the fault that did it."""
        return {name: state.given_up for name, state in self._devices.items() if state.given_up is not None}

    def next_conversion(self) -> ConversionKey | None:
        """The conversion to begin now: what the first jobs wait for. None: none is needed."""
        for key in list(self._unconverted):
            del self._unconverted[key]
            if self._waits_for(key):
                self._converting.add(key)
                return key
        return None

    def converted(self, key: ConversionKey, fault: Fault | None) -> tuple[list[str], list[Job]]:
        """A conversion ended. The devices that may go on, and the jobs that fail with it."""
        self._converting.discard(key)
        woken, failed = [], []
        if fault is None:
            self._ready.add(key)
        for name, device in self._devices.items():
            mine = [job for job in device.waiting if job.cell.conversion == key]
            if not mine:
                continue
            woken.append(name)
            if fault is not None:
                device.waiting = [job for job in device.waiting if job.cell.conversion != key]
                for job in mine:
                    job.fault = fault
                failed += mine
        return woken, failed

    def next_job(self, name: str, now: float) -> Job | Wake | AskTemperature:
        """The job that the device begins now, or what it waits for."""
        device = self._devices[name]
        if device.running is not None or device.given_up is not None or not device.waiting:
            return Wake(None)
        if device.not_before > now:
            return Wake(device.not_before)
        if device.rest is not None:
            rest = device.rest
            if now < rest.until:
                return Wake(rest.until)
            if rest.below_c is not None and now < rest.since + self._rules.rest_at_most_s:
                return AskTemperature(rest.below_c)
            device.rest = None
        due = [job for job in device.waiting if job.not_before <= now]
        for job in due:
            if job.order[:2] != due[0].order[:2]:
                break  # a later round does not begin while a conversion of this one is awaited
            if job.cell.conversion in self._ready:
                device.waiting.remove(job)
                device.running = job
                return job
        later = [job.not_before for job in device.waiting if job.not_before > now]
        return Wake(min(later, default=None))

    def cooled(self, name: str, temperature_c: float | None, now: float) -> bool:
        """What the device answered to AskTemperature; None: it does not tell. Whether it may go on."""
        device = self._devices[name]
        if device.rest is None:
            return True
        target = device.rest.below_c
        if temperature_c is None or target is None or temperature_c <= target:
            device.rest = None
            return True
        device.rest.until = min(now + _HOT_AGAIN_S, device.rest.since + self._rules.rest_at_most_s)
        return False

    def finished(self, name: str, now: float, *, cool_to_c: float | None = None) -> None:
        """The device's job has its result. `cool_to_c`: it throttled, and began at about that."""
        device = self._devices[name]
        device.running, device.strikes = None, 0
        below_c = self._rules.cool_below_c if self._rules.cool_below_c is not None else cool_to_c
        if self._rules.rest_s > 0 or below_c is not None:
            device.rest = _Rest(now, now + self._rules.rest_s, below_c)

    def failed(self, name: str, fault: Fault, now: float) -> Verdict:
        """The device's job failed: whether it is tried again, given up, or the device is."""
        device, rules = self._devices[name], self._rules
        job = device.running
        assert job is not None
        device.running, job.fault = None, fault
        if fault.kind == BUSY:
            return self._busy(name, device, job, fault, now)
        job.attempts += 1
        if fault.retry and job.attempts < rules.attempts:
            wait_s = pause_s(fault, job.attempts)
            if fault.blames_device:
                device.not_before = now + wait_s
            else:
                job.not_before = now + wait_s
            self._put_back(device, job)
            return Verdict("retry", wait_s)
        if fault.kind == "transport":
            self._put_back(device, job)
            return self._quarantine(name, fault)
        device.strikes = device.strikes + 1 if fault.blames_device else 0
        if device.strikes >= rules.attempts:
            self._put_back(device, job)  # no fault of the job's: another device may do it
            return self._quarantine(name, fault)
        return Verdict("failed")

    def _busy(self, name: str, device: _Device, job: Job, fault: Fault, now: float) -> Verdict:
        """Somebody else has the device: that is no failed attempt, but patience ends."""
        job.busy_times += 1
        job.busy_since = now if job.busy_since is None else job.busy_since
        self._put_back(device, job)
        if now - job.busy_since >= self._rules.busy_patience_s:
            return self._quarantine(name, fault)
        wait_s = pause_s(fault, job.busy_times)
        device.not_before = now + wait_s
        return Verdict("retry", wait_s)

    def _quarantine(self, name: str, fault: Fault) -> Verdict:
        """Gives the device up for this sweep; its jobs go to an equal device, or wait for a resume."""
        device = self._devices[name]
        device.given_up = fault
        jobs, device.waiting = device.waiting, []
        moved = []
        for job in jobs:
            stand_in = self._stand_in(name)
            if stand_in is None:
                job.fault = fault
                device.waiting.append(job)
                continue
            job.device, job.attempts, job.busy_times, job.busy_since = stand_in, 0, 0, None
            self._put_back(self._devices[stand_in], job)
            moved.append(job)
        return Verdict("quarantine", moved=tuple(moved), stranded=tuple(device.waiting))

    def _stand_in(self, name: str) -> str | None:
        """The equal device that has least to do."""
        fit = [other for other in self._stand_ins.get(name, ()) if self._device(other).given_up is None]
        return min(fit, key=self.left, default=None)

    def _device(self, name: str) -> _Device:
        return self._devices.setdefault(name, _Device())

    def _waits_for(self, key: ConversionKey) -> bool:
        return any(
            device.given_up is None and any(job.cell.conversion == key for job in device.waiting)
            for device in self._devices.values()
        )

    @staticmethod
    def _put_back(device: _Device, job: Job) -> None:
        device.waiting.append(job)
        device.waiting.sort(key=lambda job: job.order)
