"""Watches the device beside a benchmark, from the core: never in the process that is timed."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Dict, List, Optional

from edgeflow_agent import sysinfo


class Sampler:
    """Samples load, temperature and frequency every `period_ms` from `start` to `stop`.

    `load` and `worker_load` are shares of the whole machine's CPU time (0 to 1) since the sample before;
    their difference is what others used.
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
        self._load: List[Optional[float]] = []
        self._worker_load: List[Optional[float]] = []
        self._temperature_c: Dict[str, List[Optional[float]]] = {}
        self._frequency_mhz: Dict[str, List[Optional[float]]] = {}
        self._last_times: Optional[sysinfo.CpuTimes] = None
        self._last_ticks: Optional[int] = None

    def start(self) -> None:
        """Takes the baseline and begins to sample."""
        self._last_times = sysinfo.cpu_times(self._root)
        self._last_ticks = sysinfo.process_ticks(self._pid, self._root)
        self._thread = threading.Thread(target=self._loop, name="sampler", daemon=True)
        self._thread.start()

    def stop(self) -> Dict[str, Any]:
        """Ends sampling with one last sample and gives the `sampling` object of the protocol."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self.sample()
        found: Dict[str, Any] = {"t_ns": self._t_ns}
        for name, series in (("load", self._load), ("worker_load", self._worker_load)):
            if any(value is not None for value in series):
                found[name] = series
        if self._temperature_c:
            found["temperature_c"] = self._temperature_c
        if self._frequency_mhz:
            found["frequency_mhz"] = self._frequency_mhz
        return found

    def sample(self) -> None:
        """Appends one sample to every series; None where the system did not answer this time."""
        index = len(self._t_ns)
        self._t_ns.append(self._clock_ns())
        times = sysinfo.cpu_times(self._root)
        ticks = sysinfo.process_ticks(self._pid, self._root)
        load = worker_load = None
        if times is not None and self._last_times is not None:
            elapsed = times.total - self._last_times.total
            if elapsed > 0:
                load = (times.busy - self._last_times.busy) / elapsed
                if ticks is not None and self._last_ticks is not None:
                    worker_load = (ticks - self._last_ticks) / elapsed
        self._last_times, self._last_ticks = times, ticks
        self._load.append(load)
        self._worker_load.append(worker_load)
        _append(self._temperature_c, sysinfo.temperatures_c(self._root), index)
        _append(self._frequency_mhz, sysinfo.frequencies_mhz(self._root), index)

    def _loop(self) -> None:
        while not self._stopped.wait(self._period_s):
            self.sample()


def _append(series: Dict[str, List[Optional[float]]], values: Dict[str, float], index: int) -> None:
    for name in values:
        series.setdefault(name, [None] * index)
    for name, column in series.items():
        column.append(values.get(name))
