"""What surrounded a measurement: temperature, frequency and load, from the agent's samples. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

_THROTTLE_DROP = 0.10  # a governor's own steps are smaller; a thermal cap is not
_THROTTLE_MIN_INSTANTS = 6
_CPU_ZONES = ("cpu", "soc", "pkg", "core", "x86", "k10", "big", "mid", "little", "bcm", "silver", "gold")


@dataclass(frozen=True, slots=True)
class Temperature:
    """Of the hottest CPU zone at each instant, in degrees Celsius."""

    start: float | None = None
    end: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class Frequency:
    """Of one CPU over the measurement, in MHz."""

    start: float
    min: float
    median: float
    max: float


@dataclass(frozen=True, slots=True)
class Conditions:
    """The surroundings of one measurement. None: the system does not give it; nothing is guessed.

    `load` and `other_load` are means over the window, as fractions of all cores' time; `other_load` is what
    neither the worker nor idling used. `top_mhz` is (highest, median of the last third) of the fastest CPU
    that could run the worker, whose fall by more than 10 % is `throttled`. `series` are the hottest zone and
    the fastest such CPU at each instant, in whole numbers as the store keeps them (docs/measuring.md).
    """

    temperature_c: Temperature = field(default_factory=Temperature)
    frequency_mhz: Mapping[str, Frequency] = field(default_factory=dict)
    load: float | None = None
    other_load: float | None = None
    throttled: bool | None = None
    top_mhz: tuple[float, float] | None = None
    series: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The `conditions` object of a result document."""
        return {
            "temperature_c": asdict(self.temperature_c),
            "frequency_mhz": {cpu: asdict(figures) for cpu, figures in self.frequency_mhz.items()},
            "load": self.load,
            "other_load": self.other_load,
            "throttled": self.throttled,
        }


def conditions_of(
    sampling: Mapping[str, Any], *, zone_types: Mapping[str, str], cpus: Iterable[int] | None = None
) -> Conditions:
    """Conditions from the `sampling` of a bench result (agent/PROTOCOL.md).

    `zone_types` are DeviceFacts.thermal_zones, since zones are named by number. `cpus` are those that the
    worker was bound to; None: it could run on all. An entry that is null or not a finite number was not
    readable at that instant and is left out.
    """
    load, worker_load = _series(sampling.get("load")), _series(sampling.get("worker_load"))
    both = zip(load, worker_load, strict=False)
    other = [None if a is None or b is None else a - b for a, b in both]
    spans = _spans(_series(sampling.get("t_ns")))
    other_load = _mean_over_time(other, spans)
    frequency = {str(cpu): series for cpu, series in _table(sampling.get("frequency_mhz")).items()}
    allowed = None if cpus is None else {str(cpu) for cpu in cpus}
    usable = [series for cpu, series in frequency.items() if allowed is None or _cpu_number(cpu) in allowed]
    throttled, top_mhz = _throttling(usable)
    zones = _cpu_zones(_table(sampling.get("temperature_c")), zone_types)
    instants = _series(sampling.get("t_ns"))
    return Conditions(
        temperature_c=_temperature(zones),
        frequency_mhz={cpu: figures for cpu, series in frequency.items() if (figures := _figures(series))},
        load=_mean_over_time(load, spans),
        other_load=None if other_load is None else max(0.0, other_load),
        throttled=throttled,
        top_mhz=top_mhz,
        series={
            **_over_time("temperature", "mc", instants, zones),
            **_over_time("frequency", "khz", instants, usable),
        },
    )


def hottest_cpu_zone(zones: Iterable[tuple[str, str]]) -> float | None:
    """The hottest of zones given as (type, thousandths of a degree Celsius), the CPU's where there are such.

    What is no number, or no temperature that a device can have, is passed over.
    """
    read = [
        (kind, int(value) / 1000)
        for kind, value in zones
        if value.lstrip("-").isdecimal() and 0 < int(value) < 200_000
    ]
    chosen = [value for kind, value in read if any(word in kind.lower() for word in _CPU_ZONES)]
    return max(chosen or [value for kind, value in read if "batt" not in kind.lower()], default=None)


Series = Sequence[float | None]


def _spans(instants: Series) -> list[float]:
    """How long each sample speaks for: the time since the one before; the first, as long as the second."""
    known = [0.0 if instant is None else instant for instant in instants]
    spans = [after - before for before, after in pairwise(known)]
    return spans[:1] + spans if spans else [1.0] * len(known)


def _mean_over_time(series: Series, spans: Sequence[float]) -> float | None:
    """Weighted by time: the last sample comes when the run ends, a few clock ticks after the one before."""
    pairs = [(value, span) for value, span in zip(series, spans, strict=False) if value is not None]
    total = sum(span for _, span in pairs)
    return sum(value * span for value, span in pairs) / total if total > 0 else None


def _cpu_zones(zones: Mapping[str, Series], types: Mapping[str, str]) -> list[Series]:
    """The CPU's zones; where none is a CPU's, all but the battery's."""
    named = [(types.get(zone.split(".")[0], zone).lower(), series) for zone, series in zones.items()]
    chosen = [series for kind, series in named if any(word in kind for word in _CPU_ZONES)]
    return chosen or [series for kind, series in named if "batt" not in kind]


def _temperature(zones: Sequence[Series]) -> Temperature:
    """The hottest of the zones at each instant."""
    hottest = _highest_at_each_instant(zones)
    return Temperature(hottest[0], hottest[-1], max(hottest)) if hottest else Temperature()


def _throttling(frequency: Sequence[Series]) -> tuple[bool | None, tuple[float, float] | None]:
    """Whether the fastest CPU's frequency fell, judged on the highest at each instant.

    A single CPU's series says little: an idle core rests at its lowest step and a worker moves between cores.
    """
    highest = _highest_at_each_instant(frequency)
    if len(highest) < _THROTTLE_MIN_INSTANTS:
        return None, None
    top, end = max(highest), median(highest[-(len(highest) // 3) :])
    return end < (1 - _THROTTLE_DROP) * top, (top, end)


def _over_time(name: str, unit: str, instants: Series, many: Sequence[Series]) -> dict[str, tuple[int, ...]]:
    """The highest at each instant that has any, in thousandths, and these instants. Empty where none has."""
    found = []
    for at, instant in enumerate(instants):
        known = [value for series in many if at < len(series) and (value := series[at]) is not None]
        if known and instant is not None:
            found.append((round(instant), round(1000 * max(known))))
    if not found:
        return {}
    return {
        f"{name}_t_ns": tuple(instant for instant, _ in found),
        f"{name}_{unit}": tuple(value for _, value in found),
    }


def _highest_at_each_instant(many: Sequence[Series]) -> list[float]:
    length = max((len(series) for series in many), default=0)
    instants = ([s[at] for s in many if at < len(s)] for at in range(length))
    return [
        max(known) for instant in instants if (known := [value for value in instant if value is not None])
    ]


def _figures(series: Series) -> Frequency | None:
    known = [value for value in series if value is not None]
    return Frequency(known[0], min(known), median(known), max(known)) if known else None


def _table(data: Any) -> dict[str, Series]:
    return {str(name): _series(series) for name, series in data.items()} if isinstance(data, Mapping) else {}


def _series(data: Any) -> Series:
    if not isinstance(data, Sequence) or isinstance(data, str):
        return ()
    return [
        float(value) if isinstance(value, int | float) and math.isfinite(value) else None for value in data
    ]


def _cpu_number(name: str) -> str:
    return name.removeprefix("cpu")
