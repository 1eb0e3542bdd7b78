"""Which devices the lab has, what they are made of, and where it keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeflow.config.suggest import did_you_mean
from edgeflow.errors import UsageError

Kind = Literal["phone", "linux"]
Machine = Literal["virt", "raspi3b"]
ADB_PORT = 5555
SSH_PORT = 22
LINUX_USER = "edge"


@dataclass(frozen=True, slots=True)
class LabDevice:
    """A virtual device: the real daemon of its kind (adbd, sshd) under emulation, with its own address.

    `machine` is QEMU's name of a whole machine with a kernel and a disk of its own; None: namespaces of this
    machine's kernel. `locked`: asks for the computer's key, as a phone out of the box does.
    """

    name: str
    kind: Kind
    arch: str  # Debian's name: arm64, armhf
    model: str
    cpu: str  # QEMU's name of the core
    kernel: str  # what uname -r says; "" is this machine's
    description: str
    locked: bool = False
    by_default: bool = True
    machine: Machine | None = None

    @property
    def port(self) -> int:
        return ADB_PORT if self.kind == "phone" else SSH_PORT


_PHONE_KERNEL = "5.10.157-android13-4-lab"

CATALOGUE: tuple[LabDevice, ...] = (
    LabDevice(
        "lab-pixel7", "phone", "arm64", "Pixel 7 (lab)", "cortex-a76", _PHONE_KERNEL,
        "virtual Android phone (emulated)",
    ),
    LabDevice(
        "lab-pixel7-locked", "phone", "arm64", "Pixel 7 locked (lab)", "cortex-a76", _PHONE_KERNEL,
        "virtual Android phone that asks for this computer's key (emulated)", locked=True,
    ),
    LabDevice(
        "lab-arm64", "linux", "arm64", "ARM64 Linux (lab)", "cortex-a72", "",
        "virtual 64-bit ARM Linux with sshd and Python (emulated)",
    ),
    LabDevice(
        "lab-armhf", "linux", "armhf", "ARM Linux (lab)", "cortex-a7", "",
        "virtual 32-bit ARM Linux with sshd and Python (emulated)", by_default=False,
    ),
    LabDevice(
        "lab-phone-vm", "phone", "arm64", "Phone (lab machine)", "cortex-a76", "",
        "virtual machine: Android phone with a battery (emulated)", by_default=False, machine="virt",
    ),
    LabDevice(
        "lab-arm64-vm", "linux", "arm64", "ARM64 Linux (lab machine)", "cortex-a72", "",
        "virtual machine: 64-bit ARM Linux with systemd and a battery (emulated)", by_default=False,
        machine="virt",
    ),
    LabDevice(
        "lab-pi3", "linux", "arm64", "Raspberry Pi 3 Model B", "cortex-a53", "",
        "virtual machine: Raspberry Pi 3 Model B, slow (emulated)", by_default=False, machine="raspi3b",
    ),
)  # fmt: skip


def select(names: Sequence[str]) -> list[LabDevice]:
    """The devices of these names; those that start by default for no name. Raises UsageError."""
    if not names:
        return [device for device in CATALOGUE if device.by_default]
    known = {device.name: device for device in CATALOGUE}
    for name in names:
        if name not in known:
            raise UsageError(f"the lab has no device '{name}'; {did_you_mean(name, known)}")
    return [known[name] for name in dict.fromkeys(names)]


@dataclass(frozen=True, slots=True)
class LabFolder:
    """The lab's files under EDGEFLOW_HOME/lab. Everything but `state` can be deleted and is made again."""

    root: Path

    @classmethod
    def of_home(cls, home: Path) -> LabFolder:
        return cls(home.absolute() / "lab")

    @property
    def images(self) -> Path:
        """Root file systems and layers, each in a folder named after what it is made from."""
        return self.root / "images"

    @property
    def state(self) -> Path:
        """One JSON file for each device that was started."""
        return self.root / "state"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def user_key(self) -> Path:
        """The private key that lab devices with sshd accept."""
        return self.keys / "id_ed25519"

    @property
    def devices_file(self) -> Path:
        return self.root / "devices.yaml"

    @property
    def known_hosts(self) -> Path:
        return self.root / "known_hosts"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    def mount_point(self, name: str) -> Path:
        return self.root / "run" / name

    def log(self, name: str) -> Path:
        return self.root / "run" / f"{name}.log"

    def console(self, name: str) -> Path:
        """What a virtual machine's kernel and init say."""
        return self.machine(name) / "console.log"

    def machine(self, name: str) -> Path:
        """A virtual machine's own folder: its disk, QEMU's monitor, its console."""
        return self.root / "run" / f"{name}.machine"
