"""Shared value types of the host. Imports nothing of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class CpuCluster:
    """Cores of one kind: their kernel indices and top frequency, where the system tells it."""

    cores: tuple[int, ...]
    max_mhz: float | None
    part: str = ""  # e.g. "Cortex-A78", from the CPU part id


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What one probe of a device told. None means that the device did not say, never a guess."""

    os: str  # "linux" | "android" | "darwin"
    os_version: str
    kernel: str
    arch: str  # uname -m
    abis: tuple[str, ...]  # Android's names (arm64-v8a, ...) on every system
    libc: str | None  # "glibc" | "musl" | "bionic" | "libSystem"
    libc_version: str | None
    model: str  # what a person calls it: "Pixel 7", "Raspberry Pi 4 Model B", a CPU name
    soc: str | None
    api_level: int | None
    cores: int
    clusters: tuple[CpuCluster, ...]
    memory_bytes: int | None
    memory_available_bytes: int | None
    disk_free_bytes: int | None
    thermal_zones: Mapping[str, str] = field(default_factory=dict)  # zone or hwmon chip -> type
    power_sources: tuple[str, ...] = ()
    python_version: str | None = None
    root: bool = False
    emulated: bool = False  # instructions are translated: times prove nothing
    hypervisor: str | None = None  # "kvm", ...: a virtual machine at the hardware's speed

    def to_json(self) -> dict[str, Any]:
        from dataclasses import asdict

        return asdict(self)
