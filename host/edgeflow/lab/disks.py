"""Disks of the virtual machines: an ext4 image of each is kept; what a machine writes is a layer over it."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgeflow.lab.catalogue import LabDevice, LabFolder
from edgeflow.lab.commands import run
from edgeflow.lab.machine_root import has_systemd, made_from, prepare
from edgeflow.lab.phone import phone_layer
from edgeflow.lab.rootfs import cached, rootfs

DISK_SIZE = "2G"  # a power of two, which QEMU's SD cards must have; files take what they hold
_LAYOUT = "1"
_COPY_S = 300.0


def new_disk(folder: LabFolder, device: LabDevice, target: Path) -> None:
    """A disk as the device has it when new. What it writes goes to `target`. Raises LabError."""
    base = _image(folder, device).absolute()
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(base), str(target)]
    run(argv, f"make a disk for {device.name}", timeout_s=_COPY_S)


def _image(folder: LabFolder, device: LabDevice) -> Path:
    layers = [rootfs(folder, device.arch, systemd=has_systemd(device))]
    if device.kind == "phone":
        layers.append(phone_layer(folder, layers[0]))

    def build(target: Path) -> None:
        root = target / "root"
        for layer in layers:
            root.mkdir(exist_ok=True)
            argv = ["cp", "-a", "--remove-destination", "--reflink=auto", f"{layer}/.", str(root)]
            run(argv, f"copy {layer.name}", timeout_s=_COPY_S)
        prepare(root, device)
        argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-d", str(root), str(target / "disk.ext4"), DISK_SIZE]
        run(argv, f"make the file system of {device.name}", timeout_s=_COPY_S)
        shutil.rmtree(root)

    what = [*(layer.name for layer in layers), *made_from(device), DISK_SIZE, _LAYOUT]
    return cached(folder, f"disk-{device.name}", what, build, machine=True) / "disk.ext4"
