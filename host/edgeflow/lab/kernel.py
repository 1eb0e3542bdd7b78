"""Debian's stock ARM64 kernel for the virtual machines: kernel, device tree, first file systems, battery.

From the stable release whose compiler and kernel fit what runs the lab oldest: a module built here by
gcc-aarch64-linux-gnu with that release's headers loads into its kernel.
"""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

from edgeflow.lab.catalogue import LabFolder
from edgeflow.lab.commands import LabError, run
from edgeflow.lab.debs import Debs
from edgeflow.lab.initrd import SCRIPT_VERSION, build_initrd, in_load_order
from edgeflow.lab.rootfs import cached

_SUITE = "bookworm"
_KBUILD = "linux-kbuild-6.1"
_LAYOUT = 1
_PI3_TREE = "broadcom/bcm2837-rpi-3-b.dtb"
_BATTERY = "lab_battery"
_MODULES = {
    "virt": ["virtio_pci", "virtio_blk", "virtio_net", "crc32c_generic", "ext4"],
    "raspi3b": [
        "bcm2835", "mmc_block", "dwc2", "usbnet", "cdc_ether", "rndis_host", "bcm2835_thermal",
        "crc32c_generic", "ext4",
    ],
}  # fmt: skip
_COMPILE_S = 120.0


def kernel(folder: LabFolder) -> Path:
    """The folder with `vmlinuz`, `pi3.dtb` and an initrd for each machine, made once.

    Raises LabError, ToolMissingError.
    """
    source = (files("edgeflow.lab") / "battery.c").read_text()
    made_from = [_SUITE, _KBUILD, str(_LAYOUT), str(_MODULES), SCRIPT_VERSION, source]

    def build(target: Path) -> None:
        work = target / "work"
        work.mkdir()
        _build(target, work, source)
        shutil.rmtree(work)

    return cached(folder, "kernel", made_from, build, machine=True)


def image(built: Path) -> Path:
    return built / "vmlinuz"


def pi3_device_tree(built: Path) -> Path:
    return built / "pi3.dtb"


def initrd(built: Path, machine: str) -> Path:
    return built / f"{machine}.cpio.gz"


def _build(target: Path, work: Path, source: str) -> None:
    debs = Debs(work / "apt", _SUITE)
    package = debs.named_by("linux-image-arm64:arm64", r"linux-image-\S+-arm64\b")
    release = package.removeprefix("linux-image-")
    common = f"linux-headers-{release.removesuffix('-arm64')}-common"
    system = work / "system"
    for name in (f"{package}:arm64", f"linux-headers-{release}:arm64", f"{common}:all", f"{_KBUILD}:amd64"):
        debs.unpack(name, system)
    debs.unpack("busybox-static:arm64", system)
    (system / f"boot/vmlinuz-{release}").rename(image(target))
    (system / f"usr/lib/linux-image-{release}" / _PI3_TREE).rename(pi3_device_tree(target))
    modules = system / "lib/modules" / release
    battery = _battery(system, release, work / "battery", source)
    for machine, wanted in _MODULES.items():
        try:
            ordered = in_load_order(wanted, modules, (modules / "modules.builtin").read_text())
        except ValueError as error:
            raise LabError(f"{package} cannot drive {machine}: {error}") from error
        ordered += [battery] if machine == "virt" else []
        initrd(target, machine).write_bytes(build_initrd(system / "bin/busybox", ordered))


def _battery(system: Path, release: str, work: Path, source: str) -> Path:
    """The battery's module for exactly this kernel."""
    work.mkdir()
    (work / f"{_BATTERY}.c").write_text(source)
    (work / "Makefile").write_text(f"obj-m := {_BATTERY}.o\n")
    headers = system / f"usr/src/linux-headers-{release}"
    makefile = headers / "Makefile"  # it names the common headers by their place in an installed system
    makefile.write_text(makefile.read_text().replace("/usr/src/", f"{system}/usr/src/"))
    argv = ["make", "-s", "-C", str(headers), f"M={work}", "ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-"]
    run([*argv, "modules"], "compile the battery's module", timeout_s=_COMPILE_S)
    return work / f"{_BATTERY}.ko"
