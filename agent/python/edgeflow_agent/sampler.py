"""Watches the device beside a benchmark, from the core: never in the process that is timed."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from edgeflow_agent import sysinfo

MAX_TEXT_BYTES = 512 << 10
"""Half of what a frame's meta may hold; below, what a sample's JSON takes: time and shares, each number."""
ROW_BYTES = 64
NUMBER_BYTES = 10
MIN_SAMPLES = 64


class _Ticks(NamedTuple):
    """Ticks since boot, of the machine and of the worker."""

    machine: Optional[sysinfo.CpuTimes]
    worker: Optional[int]


class Sampler:
    """Samples load, temperature and frequency every `period_ms` from `start` to `stop`.

    `load` and `worker_load` are shares of the whole machine's CPU time (0 to 1) since the sample before;
    their difference is what others used. As many samples are kept as surely fit a frame: after that every
    second one is dropped and the period doubled, as often as it takes.
    """

    def __init__(
        self,
        worker_pid: int,
        period_ms: float,
        *,
        root: str = "/",
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._pid = worker_pid
        self._period_s = period_ms / 1000.0
        self._root = root
        self._clock_ns = clock_ns
        self._stopped = threading.Event()
        self._thread: Optional[threading.Thread] = None
        self._t_ns: List[int] = []
        self._baseline = _Ticks(None, None)
        self._ticks: List[_Ticks] = []
        self._temperature_c: Dict[str, List[Optional[float]]] = {}
        self._frequency_mhz: Dict[str, List[Optional[float]]] = {}

    def start(self) -> None:
        """Takes the baseline and begins to sample."""
        self._baseline = self._read_ticks()
        self._thread = threading.Thread(target=self._loop, name="sampler", daemon=True)
        self._thread.start()

    def stop(self) -> Dict[str, Any]:
        """Ends sampling with one last sample and gives the `sampling` object of the protocol."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self.sample()
        found: Dict[str, Any] = {"t_ns": self._t_ns}
        befores = [self._baseline, *self._ticks[:-1]]
        shares = list(map(_shares, befores, self._ticks))
        for place, name in enumerate(("load", "worker_load")):
            series = [pair[place] for pair in shares]
            if any(value is not None for value in series):
                found[name] = series
        if self._temperature_c:
            found["temperature_c"] = self._temperature_c
        if self._frequency_mhz:
            found["frequency_mhz"] = self._frequency_mhz
        return found

    def sample(self) -> None:
        """Appends one sample to every series; None where the system did not answer this time."""
        columns = len(self._temperature_c) + len(self._frequency_mhz)
        if len(self._t_ns) >= max(MIN_SAMPLES, MAX_TEXT_BYTES // (ROW_BYTES + NUMBER_BYTES * columns)):
            self._drop_every_second()
        index = len(self._t_ns)
        self._t_ns.append(self._clock_ns())
        self._ticks.append(self._read_ticks())
        _append(self._temperature_c, sysinfo.temperatures_c(self._root), index)
        _append(self._frequency_mhz, sysinfo.frequencies_mhz(self._root), index)

    def _read_ticks(self) -> _Ticks:
        return _Ticks(sysinfo.cpu_times(self._root), sysinfo.process_ticks(self._pid, self._root))

    def _drop_every_second(self) -> None:
        every: List[List[Any]] = [self._t_ns, self._ticks]
        every.extend(self._temperature_c.values())
        every.extend(self._frequency_mhz.values())
        for series in every:
            del series[::2]
        self._period_s *= 2

    def _loop(self) -> None:
        while not self._stopped.wait(self._period_s):
            self.sample()


def _shares(before: _Ticks, now: _Ticks) -> Tuple[Optional[float], Optional[float]]:
    """Everybody's share of the machine between two samples, and the worker's."""
    if before.machine is None or now.machine is None:
        return None, None
    elapsed = now.machine.total - before.machine.total
    if elapsed <= 0:
        return None, None
    load = (now.machine.busy - before.machine.busy) / elapsed
    if before.worker is None or now.worker is None:
        return load, None
    return load, (now.worker - before.worker) / elapsed


def _append(series: Dict[str, List[Optional[float]]], values: Dict[str, float], index: int) -> None:
    for name in values:
        series.setdefault(name, [None] * index)
    for name, column in series.items():
        column.append(values.get(name))
