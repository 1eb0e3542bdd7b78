"""Which cores are of one kind, out of what the kernel tells. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from edgeflow.types import CpuCluster

_CPU = "/sys/devices/system/cpu"


def clusters_of(values: Mapping[str, str], parts: Mapping[int, str]) -> tuple[CpuCluster, ...]:
    """Cores of one kind: by part, top frequency and shared clock on ARM. On x86 the kernel's own sorting
    counts, since a core that may boost higher than its neighbours is no other kind.

    `values` are the probe's, `parts` the names of ARM cores by number. Two clusters of equal cores at equal
    frequencies (RK3588, Orin) are told apart by their cpufreq policies. A policy of a single core tells
    nothing: many servers have one for every core.
    """
    max_mhz = {cpu: int(khz) / 1000 for cpu, khz in _of_each_cpu(values, "cpuinfo_max_freq").items()}
    shared = {cpu: cpus for cpu, cpus in _of_each_cpu(values, "related_cpus").items() if " " in cpus.strip()}
    numbers = sorted(_cpu_list(values.get(f"{_CPU}/online", "")) or parts or max_mhz)
    hybrid = {
        cpu: name
        for name, path in (("P-core", "/sys/devices/cpu_core/cpus"), ("E-core", "/sys/devices/cpu_atom/cpus"))
        for cpu in _cpu_list(values.get(path, ""))
    }
    groups: dict[tuple[str, float | None, str], list[int]] = {}
    for cpu in numbers:
        part = hybrid.get(cpu) or parts.get(cpu, "")
        is_arm = part != "" and cpu not in hybrid
        key = (part, max_mhz.get(cpu), shared.get(cpu, "")) if is_arm else (part, None, "")
        groups.setdefault(key, []).append(cpu)
    return tuple(
        CpuCluster(tuple(cpus), max((max_mhz[cpu] for cpu in cpus if cpu in max_mhz), default=None), part)
        for (part, _, _), cpus in groups.items()
    )


def darwin_clusters(sysctl: Mapping[str, str], cores: int) -> tuple[CpuCluster, ...]:
    """macOS tells how many cores each kind has, not which: they are numbered from the fastest kind on."""
    clusters, begin = [], 0
    for level in range(int(sysctl.get("hw.nperflevels", "0"))):
        count = int(sysctl.get(f"hw.perflevel{level}.logicalcpu", "0"))
        name = sysctl.get(f"hw.perflevel{level}.name", "")
        clusters.append(CpuCluster(tuple(range(begin, begin + count)), None, name))
        begin += count
    return tuple(clusters) or (CpuCluster(tuple(range(cores)), None),)


def _of_each_cpu(values: Mapping[str, str], name: str) -> dict[int, str]:
    """A file of each CPU's cpufreq folder."""
    return {
        int(match[1]): text
        for path, text in values.items()
        if (match := re.fullmatch(rf"{_CPU}/cpu(\d+)/cpufreq/{name}", path))
    }


def _cpu_list(text: str) -> list[int]:
    """The kernel's list format: "0-3,6"."""
    cpus: list[int] = []
    for piece in filter(None, text.split(",")):
        first, _, last = piece.partition("-")
        cpus.extend(range(int(first), int(last or first) + 1))
    return cpus
