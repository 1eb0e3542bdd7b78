"""Where a device tells its power: battery gauges, powercap counters, hwmon meters. Read by the core only.

Sources of the formats: Linux kernel, Documentation/ABI/testing/{sysfs-class-power,sysfs-class-powercap} and
Documentation/hwmon/sysfs-interface.rst. Where devices leave them (sign, milli for micro), gauge.py decides.
"""

from __future__ import annotations

import os
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from edgeflow_agent import gauge
from edgeflow_agent.gauge import Refused, Series, smallest_gap

MAX_SOURCES = 16
MAX_PLAUSIBLE_UW = 2000 * 1000 * 1000  # 2 kW: above it a counter was reset, not used
WHOLE_BOARD_RAILS = ("VDD_IN", "5V_IN", "TOTAL")
"""Parts of hwmon labels that stand for the whole board's input (Jetson: VDD_IN, POM_5V_IN)."""
MODULE_RAILS = ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")
"""The inputs of a Jetson AGX Orin module, which has no meter of the whole: their sum is its draw.
VDDQ_VDD2_1V8AO is part of VIN_SYS_5V0, as published descriptions of the rails have it; not checked
on a board."""
NOT_CONNECTED = "NC"
"""How NVIDIA labels an input that no rail goes to."""

Row = Tuple[int, ...]


class Source:
    """One sensor. `quantity` is what `series` gives: "power_uw" (draw is positive) or "energy_uj" (growing).

    `rank` orders sources by how much of the device they cover, 0 first.
    """

    kind = ""
    quantity = "power_uw"

    def __init__(self, name: str, covers: str, rank: int, paths: Sequence[str]) -> None:
        self.name = name
        self.covers = covers
        self.rank = rank
        self.paths = tuple(paths)

    def read(self) -> Row:
        """The raw integers of one instant. Raises Refused for good, OSError when it gives nothing now."""
        return tuple(_integer(path) for path in self.paths)

    def series(self, t_ns: Sequence[int], rows: Sequence[Row]) -> Series:
        """The rows in the unit of `quantity`. Raises Refused where they make no sense."""
        raise NotImplementedError


class Battery(Source):
    """A fuel gauge: current_now x voltage_now, or power_now. Only while it alone feeds the device."""

    kind = "battery"

    def __init__(self, folder: str, chargers: Sequence[str]) -> None:
        name = os.path.basename(folder)
        current = os.path.join(folder, "current_now")
        columns = ["current_now", "voltage_now"] if os.path.exists(current) else ["power_now"]
        paths = [os.path.join(folder, column) for column in columns]
        super().__init__("power_supply:" + name, "the whole device", 0, paths)
        self._status = os.path.join(folder, "status")
        self._chargers = tuple(chargers)

    def read(self) -> Row:
        """Refuses unless the status is Discharging and no charger is online: else the draw is another."""
        status = _text(self._status)
        if status != "Discharging":
            raise Refused("%s is %s, so its current is not what the device draws" % (self.name, status))
        for charger in self._chargers:
            if _text(os.path.join(charger, "online")) not in ("0", ""):
                raise Refused(
                    "%s feeds the device beside %s: unplug it" % (os.path.basename(charger), self.name)
                )
        return super().read()

    def series(self, t_ns: Sequence[int], rows: Sequence[Row]) -> Series:
        first = [row[0] for row in rows]
        voltages = [row[1] for row in rows] if len(self.paths) > 1 else None
        return gauge.discharge(self.name, first, voltages)


class Counter(Source):
    """A powercap zone's energy_uj, which wraps at max_energy_range_uj."""

    kind = "powercap"
    quantity = "energy_uj"

    def __init__(self, folder: str, name: str, covers: str, rank: int) -> None:
        super().__init__(name, covers, rank, [os.path.join(folder, "energy_uj")])
        self._range_path = os.path.join(folder, "max_energy_range_uj")

    def series(self, t_ns: Sequence[int], rows: Sequence[Row]) -> Series:
        """From 0 at the first row. Two wraps between two samples would take minutes: not with our period."""
        values = [0]
        for index in range(1, len(rows)):
            grown = rows[index][0] - rows[index - 1][0]
            if grown < 0:
                grown += _integer(self._range_path)
            elapsed_ns = t_ns[index] - t_ns[index - 1]
            if grown < 0 or grown * 10**9 > MAX_PLAUSIBLE_UW * elapsed_ns:
                raise Refused("%s was reset in the run" % self.name)
            values.append(values[-1] + grown)
        return Series(values, smallest_gap(values), [])


class Meter(Source):
    """A hwmon power reading in µW."""

    kind = "hwmon"

    def series(self, t_ns: Sequence[int], rows: Sequence[Row]) -> Series:
        values = [row[0] for row in rows]
        averaged = self.paths[0].endswith("_average")
        return Series(values, smallest_gap(values), ["an average of the chip's own"] if averaged else [])


class CurrentAndVoltage(Source):
    """An INA's current (mA) and bus voltage (mV), where it gives no power."""

    kind = "hwmon"

    def series(self, t_ns: Sequence[int], rows: Sequence[Row]) -> Series:
        step = smallest_gap([row[0] for row in rows]) * abs(gauge.middle([row[1] for row in rows]))
        return Series([row[0] * row[1] for row in rows], step, [])


class Sum(Source):
    """Rails of one INA that together feed the module: currents and voltages, before them the sum in µW."""

    kind = "hwmon"

    def read(self) -> Row:
        row = super().read()
        return (sum(row[at] * row[at + 1] for at in range(0, len(row), 2)), *row)

    def series(self, t_ns: Sequence[int], rows: Sequence[Row]) -> Series:
        # The steps of all rails together: the gaps of sums say less than the chip can tell apart.
        step = sum(
            smallest_gap([row[at] for row in rows]) * abs(gauge.middle([row[at + 1] for row in rows]))
            for at in range(1, len(rows[0]), 2)
        )
        return Series([row[0] for row in rows], step, ["the sum of %d rails" % (len(self.paths) // 2)])


def probe(root: str = "/") -> List[Source]:
    """Every source under `root`, those that cover most of the device first; readable or not."""
    supplies = os.path.join(root, "sys/class/power_supply")
    found: List[Source] = _batteries(supplies)
    found.extend(_counters(os.path.join(root, "sys/class/powercap")))
    found.extend(_meters(os.path.join(root, "sys/class/hwmon"), _folders(supplies)))
    return sorted(found, key=lambda source: source.rank)[:MAX_SOURCES]


def _batteries(supplies: str) -> List[Source]:
    folders = [os.path.join(supplies, name) for name in _folders(supplies)]
    batteries = [folder for folder in folders if _said(folder, "type") == "Battery"]
    # scope Device: the battery of a mouse or a keyboard.
    own = [folder for folder in batteries if _said(folder, "scope") != "Device"]
    chargers = [
        folder
        for folder in folders
        if folder not in batteries and os.path.exists(os.path.join(folder, "online"))
    ]
    columns = ("current_now", "power_now")
    return [
        Battery(folder, chargers)
        for folder in own
        if any(os.path.exists(os.path.join(folder, column)) for column in columns)
    ]


def _counters(folder: str) -> List[Source]:
    found: List[Source] = []
    for zone in _folders(folder):
        # "intel-rapl" alone is the control type; intel-rapl-mmio counts the same package a second time.
        if not zone.startswith("intel-rapl:") or not os.path.exists(os.path.join(folder, zone, "energy_uj")):
            continue
        name = _said(os.path.join(folder, zone), "name") or zone
        parent = zone.rpartition(":")[0]
        nested = parent.count(":") > 0
        full = "%s.%s" % (_said(os.path.join(folder, parent), "name") or parent, name) if nested else name
        domain = _Domain("the CPU part " + full, 4) if nested else _domain(name)
        path = os.path.join(folder, zone)
        found.append(Counter(path, "powercap:" + full, domain.covers, domain.rank))
    return found


class _Domain(NamedTuple):
    covers: str
    rank: int


def _domain(name: str) -> _Domain:
    if name == "psys":
        return _Domain("the whole platform", 1)
    return _Domain("the CPU %s, not memory, screen or board" % name, 2)


def _meters(folder: str, supplies: Sequence[str]) -> List[Source]:
    # The kernel mirrors each power supply as a hwmon chip of its name: no second source, nor a status to ask.
    mirrored = {name.replace("-", "_") for name in supplies} | set(supplies)
    found: List[Source] = []
    for chip in _folders(folder):
        path = os.path.join(folder, chip)
        name = _said(path, "name") or chip
        if name not in mirrored:
            found.extend(_chip_meters(path, name))
    return found


def _chip_meters(folder: str, chip: str) -> List[Source]:
    files = set(_folders(folder))
    found: List[Source] = []
    rails: Dict[str, List[str]] = {}
    for number in range(1, 17):
        power = [
            "power%d_%s" % (number, what)
            for what in ("input", "average")
            if "power%d_%s" % (number, what) in files
        ][:1]
        # Only of INA monitors it is known that curr<n> flows at the voltage in<n>.
        pair = ["curr%d_input" % number, "in%d_input" % number]
        is_pair = chip.startswith("ina") and set(pair) <= files
        if not power and not is_pair:
            continue
        kind = Meter if power else CurrentAndVoltage
        label = _said(folder, ("power%d_label" if power else "in%d_label") % number)
        if label == NOT_CONNECTED:
            continue
        whole = any(part in label.upper() for part in WHOLE_BOARD_RAILS)
        rail = label or "input %d" % number
        covers = "the whole board (%s)" % rail if whole else "the rail %s of %s" % (rail, chip)
        paths = [os.path.join(folder, name) for name in (power or pair)]
        name = "hwmon:%s.%s" % (chip, label or paths[0].rpartition("/")[2].partition("_")[0])
        found.append(kind(name, covers, 1 if whole else 3, paths))
        if not power:
            rails[label] = paths
    if set(MODULE_RAILS) <= set(rails):
        label = "+".join(MODULE_RAILS)
        paths = [path for rail in MODULE_RAILS for path in rails[rail]]
        covers = "the module without its board (%s)" % label
        found.append(Sum("hwmon:%s.%s" % (chip, label), covers, 1, paths))
    return found


def _folders(folder: str) -> List[str]:
    try:
        return sorted(os.listdir(folder), key=lambda name: (len(name), name))
    except OSError:
        return []


def _said(folder: str, name: str) -> str:
    try:
        return _text(os.path.join(folder, name))
    except (OSError, Refused):
        return ""


def _integer(path: str) -> int:
    text = _text(path)
    try:
        return int(text)
    except ValueError:
        raise Refused("%s reads %.40r, which is no number" % (path, text)) from None


def _text(path: str) -> str:
    """The content of a file of /sys. Raises Refused where permission is denied, else OSError."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except PermissionError:
        raise Refused("reading %s needs root (permission denied)" % path) from None


def reason_of(error: OSError) -> Optional[str]:
    """What a failed reading said, in words."""
    return "%s: %s" % (error.filename, error.strerror) if error.filename else error.strerror
