"""Which sensors of the probe tell what the device draws. Pure; the names are the agent's (its power.py)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

Files = Mapping[str, str]  # of one folder of /sys: file name -> its first line

# What the agent knows of NVIDIA's labels (it says why): an input without a rail, and rails that are summed.
_NOT_CONNECTED = "NC"
_MODULE_RAILS = ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")


def power_sources(lines: Iterable[str]) -> tuple[str, ...]:
    """The names of all sources, in the probe's order. `lines` are its "/sys/class/hwmon/hwmon0/name=ina3221".

    Chargers and ports are none (a phone's "usb", a board's USB-C port): their current is not what the device
    draws, and the battery of a mouse (scope Device) is not the device's.
    """
    folders: dict[str, dict[str, dict[str, str]]] = {"power_supply": {}, "powercap": {}, "hwmon": {}}
    for line in lines:
        path, found, text = line.partition("=")
        match = re.fullmatch(r"/sys/class/(power_supply|powercap|hwmon)/([^/]+)/([^/]+)", path)
        if found and match is not None:
            folders[match[1]].setdefault(match[2], {})[match[3]] = text.strip()
    supplies = folders["power_supply"]
    # The kernel shows each power supply once more as a hwmon chip of its name: no second source.
    mirrors = {name.replace("-", "_") for name in supplies} | set(supplies)
    names = [f"power_supply:{name}" for name, files in supplies.items() if _is_own_battery(files)]
    names += _counters(folders["powercap"])
    for files in folders["hwmon"].values():
        chip = files.get("name", "")
        if chip and chip not in mirrors:
            names += [f"hwmon:{chip}.{rail}" for rail in _rails(chip, files)]
    return tuple(dict.fromkeys(names))


def _is_own_battery(files: Files) -> bool:
    measures = "current_now" in files or "power_now" in files
    return measures and files.get("type") == "Battery" and files.get("scope") != "Device"


def _counters(zones: Mapping[str, Files]) -> list[str]:
    """ "powercap:package-0", "powercap:package-0.core". intel-rapl-mmio counts the same package once more."""
    names = []
    for zone, files in zones.items():
        if not zone.startswith("intel-rapl:"):
            continue
        name, parent = files.get("name", zone), zone.rpartition(":")[0]
        nested = ":" in parent
        names.append(
            f"powercap:{zones.get(parent, {}).get('name', parent)}.{name}" if nested else f"powercap:{name}"
        )
    return names


def _rails(chip: str, files: Files) -> list[str]:
    """What a chip measures: the label of each input, or the input's name where it has no label.

    Only of INA monitors it is known that curr<n> flows at the voltage in<n>; another's current is no power.
    """
    rails, pairs = [], set()
    for number in range(1, 17):
        if f"power{number}_input" in files or f"power{number}_average" in files:
            rails.append(files.get(f"power{number}_label") or f"power{number}")
        elif chip.startswith("ina") and f"curr{number}_input" in files and f"in{number}_input" in files:
            rails.append(files.get(f"in{number}_label") or f"curr{number}")
            pairs.add(rails[-1])
    if pairs >= set(_MODULE_RAILS):
        rails.append("+".join(_MODULE_RAILS))
    return [rail for rail in rails if rail != _NOT_CONNECTED]
