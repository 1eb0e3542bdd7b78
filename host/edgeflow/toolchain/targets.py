"""What the native agent can be built for, and which of it a device runs."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeflow.config.suggest import did_you_mean
from edgeflow.errors import DeviceError, UsageError

if TYPE_CHECKING:
    from edgeflow.types import DeviceFacts

HOST = "host"
NULL = "null"
"""The runtime that is in the agent itself."""


@dataclass(frozen=True, slots=True)
class Target:
    """A system that programs are built for.

    `code`: the target whose libraries are the very same, so that they are compiled once.
    """

    name: str
    system: str  # "android" | "linux" | "host"
    machine: str  # "aarch64" | "armv7l" | "x86_64" | "arm64" (a Mac)
    needs_ndk: bool = False
    gnu: str = ""  # what Debian calls its cross compiler
    zig: str = ""  # what zig calls the system
    code: str = ""

    @property
    def code_name(self) -> str:
        return self.code or self.name


def _linux(name: str, machine: str, gnu: str, zig: str) -> Target:
    return Target(name, "linux", machine, gnu=gnu, zig=zig)


def _static(name: str, same: Target) -> Target:
    """Android's kernel runs static programs of Linux."""
    return Target(name, "android", same.machine, gnu=same.gnu, zig=same.zig, code=same.name)


_AARCH64 = _linux("linux-aarch64", "aarch64", "aarch64-linux-gnu", "aarch64-linux-musl")
_ARMV7 = _linux("linux-armv7", "armv7l", "arm-linux-gnueabihf", "arm-linux-musleabihf")
_X86_64 = _linux("linux-x86_64", "x86_64", "x86_64-linux-gnu", "x86_64-linux-musl")

TARGETS = {
    target.name: target
    for target in (
        Target(HOST, HOST, platform.machine(), code=f"{sys.platform}-{platform.machine()}"),
        _AARCH64,
        _ARMV7,
        _X86_64,
        Target("android-arm64", "android", "aarch64", needs_ndk=True),
        _static("android-arm64-static", _AARCH64),
        _static("android-armv7-static", _ARMV7),
        _static("android-x86_64-static", _X86_64),
    )
}

_BY_ABI = {
    ("android", "arm64-v8a"): ("android-arm64", "android-arm64-static"),
    ("android", "armeabi-v7a"): ("android-armv7-static",),
    ("android", "x86_64"): ("android-x86_64-static",),
    ("linux", "arm64-v8a"): ("linux-aarch64",),
    ("linux", "armeabi-v7a"): ("linux-armv7",),
    ("linux", "x86_64"): ("linux-x86_64",),
}


def target_named(name: str) -> Target:
    """Raises UsageError listing the known ones."""
    if name not in TARGETS:
        raise UsageError(f"unknown target '{name}'; {did_you_mean(name, TARGETS)}")
    return TARGETS[name]


def targets_for(device: str, facts: DeviceFacts, *, local: bool) -> tuple[Target, ...]:
    """What runs on a device, the best first. `local`: it is this machine. Raises DeviceError: why none does.

    The first ABI that the device names decides: a 64-bit kernel may run a 32-bit system.
    """
    if local:
        return (TARGETS[HOST],)
    for abi in facts.abis:
        names = _BY_ABI.get((facts.os, abi), ())
        if names:
            return tuple(TARGETS[name] for name in names)
    served = ", ".join(sorted(f"{system} {abi}" for system, abi in _BY_ABI))
    raise DeviceError(
        f"{device}: the native agent is not built for {facts.os} {', '.join(facts.abis) or facts.arch}",
        hint=f"it is built for: {served}",
    )


def host_is(target: Target) -> bool:
    """Whether this machine's own compiler makes programs for the target."""
    if target.system == HOST:
        return True
    return sys.platform == "linux" and target.machine == platform.machine() and not target.needs_ndk
