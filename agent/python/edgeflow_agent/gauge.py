"""What a battery gauge's numbers mean: sign and unit, judged from a whole run of readings. Pure.

The kernel's ABI says µA, µV and µW, and leaves the sign of current_now to the driver: on a Pixel it is
negative while discharging, elsewhere positive; several vendors report mA.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence, Tuple

MIN_UW = 40 * 1000
"""A device that runs a model draws at least 40 mW. Under that the reading is in milli units: the two readings
of one number lie a factor of 1000 apart, and 40 W from a device that reports mA is as implausible."""

MAX_UW = 400 * 1000 * 1000
MICROVOLTS = (1000 * 1000, 100 * 1000 * 1000)  # 1 to 100 V, and the same in mV
MILLIVOLTS = (1000, 100 * 1000)
MAX_SIGN_CHANGES = 0.1
BUSY_QUANTILE = 0.9


class Refused(Exception):
    """A source that cannot be used, with the reason in words."""


class Series(NamedTuple):
    """Values in the source's unit, the smallest step between two of them, and what was taken for granted."""

    values: List[int]
    step: int
    assumed: List[str]


def discharge(name: str, readings: Sequence[int], voltages: Optional[Sequence[int]]) -> Series:
    """The power in µW that leaves the battery, positive, from currents and voltages or (None) from powers.

    Raises Refused for zeros, for a sign that changes, and for numbers that are plausible in no unit.
    """
    what = "power_now" if voltages is None else "current_now"
    if not any(readings):
        raise Refused("%s: %s reads 0 all the time" % (name, what))
    sign = -1 if middle(readings) < 0 else 1
    against = sum(1 for reading in readings if reading * sign < 0)
    if against > MAX_SIGN_CHANGES * len(readings):
        raise Refused("%s: %s changes its sign, so it charges at times" % (name, what))
    scale_uv, volt = (10**6, "") if voltages is None else _volt_unit(name, middle(voltages))
    columns = [10**6] * len(readings) if voltages is None else [value * scale_uv for value in voltages]
    raw_uw = [sign * reading * columns[index] // 10**6 for index, reading in enumerate(readings)]
    factor, unit = _unit(name, what, raw_uw)
    assumed = ["%s is in %s" % (what, unit + ("W" if voltages is None else "A"))]
    assumed += ["voltage_now is in " + volt] if volt else []
    assumed += ["a %s %s is discharge" % ("negative" if sign < 0 else "positive", what)]
    step = smallest_gap(readings) * middle(columns) * factor // 10**6
    return Series([value * factor for value in raw_uw], step, assumed)


def _volt_unit(name: str, voltage: int) -> Tuple[int, str]:
    if MICROVOLTS[0] <= voltage <= MICROVOLTS[1]:
        return 1, "µV"
    if MILLIVOLTS[0] <= voltage <= MILLIVOLTS[1]:
        return 1000, "mV"
    raise Refused("%s: voltage_now reads %d, plausible neither in µV nor in mV" % (name, voltage))


def _unit(name: str, what: str, raw_uw: Sequence[int]) -> Tuple[int, str]:
    # The loop is a part of the run, so the high readings are those of a device at work.
    busy = sorted(raw_uw)[int((len(raw_uw) - 1) * BUSY_QUANTILE)]
    for factor, unit in ((1, "µ"), (1000, "m")):
        if MIN_UW <= busy * factor <= MAX_UW:
            return factor, unit
    raise Refused("%s: %s would be %.3g W, plausible in no unit" % (name, what, busy / 1e6))


def smallest_gap(values: Sequence[int]) -> int:
    """The smallest difference between two different values: the resolution as far as it shows; else 0."""
    distinct = sorted(set(values))
    return min((distinct[at] - distinct[at - 1] for at in range(1, len(distinct))), default=0)


def middle(values: Sequence[int]) -> int:
    """The upper median."""
    return sorted(values)[len(values) // 2]
