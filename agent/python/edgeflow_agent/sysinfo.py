"""What the system tells about load, memory, temperature and frequency. Readers take the file system's root.

On Linux everything comes from /proc and /sys. macOS gives memory only (getrusage, ps); what a system does
not give is None or an empty mapping, never a guess.
"""

from __future__ import annotations

import os
import sys
from typing import Dict, NamedTuple, Optional

ACCELERATORS = ("cpu",)


class CpuTimes(NamedTuple):
    """Ticks of all CPUs together since boot."""

    busy: int
    total: int


def cpu_times(root: str = "/") -> Optional[CpuTimes]:
    """Busy and total ticks of the machine (proc(5), /proc/stat), or None where there is no /proc."""
    text = _read(os.path.join(root, "proc/stat"))
    fields = text.split("\n", 1)[0].split() if text else []
    if len(fields) < 5 or fields[0] != "cpu":
        return None
    # user nice system idle iowait irq softirq steal; guest time is already inside user and nice.
    ticks = [int(field) for field in fields[1:9]]
    idle = ticks[3] + (ticks[4] if len(ticks) > 4 else 0)
    return CpuTimes(sum(ticks) - idle, sum(ticks))


def process_ticks(pid: int, root: str = "/") -> Optional[int]:
    """Ticks that a process spent on CPUs, all its threads together (proc(5), utime + stime)."""
    text = _read(os.path.join(root, "proc", str(pid), "stat"))
    if not text:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    return int(fields[11]) + int(fields[12])


def process_start_ticks(pid: int, root: str = "/") -> Optional[int]:
    """When a process began, in ticks since boot (proc(5), starttime): with its id, one process alone.

    None where there is no /proc, and where the process is gone or hidden.
    """
    # Of its first thread: in PID/stat qemu's user mode tells a program of itself what no other reads.
    text = _read(os.path.join(root, "proc", str(pid), "task", str(pid), "stat"))
    if not text:
        return None
    return int(text.rpartition(")")[2].split()[19])


def rss_bytes(pid: int, root: str = "/") -> Optional[int]:
    """Resident memory of a process now: VmRSS, or `ps` on macOS. None when it is gone."""
    kib = _status_kib(pid, "VmRSS:", root)
    if kib is None and sys.platform == "darwin":
        import subprocess

        shown = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], stdout=subprocess.PIPE, check=False)
        kib = int(shown.stdout) if shown.stdout.strip() else None
    return None if kib is None else kib * 1024


def own_peak_rss_bytes(root: str = "/") -> Optional[int]:
    """Highest resident memory of this process so far: VmHWM, or getrusage's ru_maxrss on macOS."""
    kib = _status_kib(os.getpid(), "VmHWM:", root)
    if kib is not None:
        return kib * 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS
    return None


def temperatures_c(root: str = "/") -> Dict[str, float]:
    """Temperature of each thermal zone, or of each hwmon sensor where there are no zones, in degrees Celsius.

    Both are given in thousandths of a degree (kernel: Documentation/ABI/testing/sysfs-class-thermal, -hwmon).
    """
    found = {}
    zones = os.path.join(root, "sys/class/thermal")
    for zone in _entries(zones, "thermal_zone"):
        value = _number(os.path.join(zones, zone, "temp"))
        if value is not None:
            found[zone] = value / 1000.0
    if found:
        return found
    sensors = os.path.join(root, "sys/class/hwmon")
    for chip in _entries(sensors, "hwmon"):
        for name in _entries(os.path.join(sensors, chip), "temp"):
            if name.endswith("_input"):
                value = _number(os.path.join(sensors, chip, name))
                if value is not None:
                    found[chip + "." + name[: -len("_input")]] = value / 1000.0
    return found


def frequencies_mhz(root: str = "/") -> Dict[str, float]:
    """Current frequency of each CPU in MHz by cpufreq's scaling_cur_freq (kHz); empty without cpufreq.

    The nominal MHz of /proc/cpuinfo is not taken: in a virtual machine it never changes, yet looks measured.
    """
    found = {}
    cpus = os.path.join(root, "sys/devices/system/cpu")
    for cpu in _entries(cpus, "cpu"):
        if cpu[3:].isdigit():
            value = _number(os.path.join(cpus, cpu, "cpufreq/scaling_cur_freq"))
            if value is not None:
                found[cpu] = value / 1000.0
    return found


def _status_kib(pid: int, key: str, root: str) -> Optional[int]:
    for line in _read(os.path.join(root, "proc", str(pid), "status")).splitlines():
        if line.startswith(key):
            return int(line.split()[1])
    return None


def _entries(folder: str, prefix: str) -> "list[str]":
    try:
        names = [name for name in os.listdir(folder) if name.startswith(prefix)]
    except OSError:
        return []
    return sorted(names, key=lambda name: (len(name), name))


def _number(path: str) -> Optional[int]:
    text = _read(path).strip()
    return int(text) if text.lstrip("-").isdigit() else None


def _read(path: str) -> str:
    # A zone may refuse one reading (EAGAIN, ENODATA) and a process may end meanwhile: both are "not given".
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
