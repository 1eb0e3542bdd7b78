"""QEMU's command line for a virtual machine of the lab. Pure.

Paths are absolute but for those in the machine's own folder, in which QEMU runs.
"""

from __future__ import annotations

from pathlib import Path

from edgeflow.lab.catalogue import LabDevice, Machine
from edgeflow.lab.network import Link

DISK, CONSOLE, MONITOR = "disk.qcow2", "console.log", "monitor"
_ROOT: dict[Machine, str] = {"virt": "/dev/vda", "raspi3b": "/dev/mmcblk0"}
_TTY: dict[Machine, str] = {"virt": "ttyAMA0", "raspi3b": "ttyS1,115200"}
_MEMORY = "1G"  # a Pi 3's
_CORES = 2


def argv_of(
    device: LabDevice, link: Link, *, kernel: Path, initrd: Path, device_tree: Path, init: str
) -> list[str]:
    """The program and its arguments.

    cache=unsafe: what the guest syncs is handed to this machine's kernel, so it outlives QEMU (a power cut in
    the lab), though not this machine's own power cut.
    """
    machine = device.machine
    if machine is None:
        raise ValueError(f"{device.name} is no virtual machine")
    words = [
        f"console={_TTY[machine]}", "loglevel=4", "panic=-1", f"lab.root={_ROOT[machine]}",
        f"lab.init={init}", f"lab.name={device.name}",
        f"lab.address={link.address}", f"lab.gateway={link.gateway}",
    ]  # fmt: skip
    drive = f"file={DISK},format=qcow2,cache=unsafe,id=disk"
    common = [
        "qemu-system-aarch64", "-name", device.name, "-accel", "tcg,thread=multi,tb-size=256",
        "-kernel", str(kernel), "-initrd", str(initrd), "-append", " ".join(words),
        "-netdev", f"tap,id=net,ifname={link.name},script=no,downscript=no",
        "-qmp", f"unix:{MONITOR},server=on,wait=off",
        "-nodefaults", "-no-user-config", "-display", "none", "-m", _MEMORY,
    ]  # fmt: skip
    mac = f"52:54:00:4c:ab:{link.number:02x}"
    if machine == "virt":
        return [
            *common, "-M", "virt,gic-version=3", "-cpu", device.cpu, "-smp", str(_CORES),
            "-serial", f"file:{CONSOLE}",
            "-drive", f"if=none,{drive}", "-device", "virtio-blk-pci,drive=disk",
            "-device", f"virtio-net-pci,netdev=net,mac={mac},romfile=",
        ]  # fmt: skip
    return [
        *common, "-M", "raspi3b", "-dtb", str(device_tree),
        "-serial", "null", "-serial", f"file:{CONSOLE}",  # the mini UART is its console
        "-drive", f"if=sd,{drive}", "-device", f"usb-net,netdev=net,mac={mac}",
    ]  # fmt: skip
