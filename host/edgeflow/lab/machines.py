"""Devices that are virtual machines: a kernel and a disk of their own, so they can reboot and lose power."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from edgeflow.lab import kernel, monitor, network
from edgeflow.lab.catalogue import LabDevice, LabFolder
from edgeflow.lab.commands import start as start_program
from edgeflow.lab.disks import new_disk
from edgeflow.lab.guests import Guest, await_port, end, forget, record, recorded, start_time
from edgeflow.lab.machine_root import init_of
from edgeflow.lab.qemu import DISK, argv_of

if TYPE_CHECKING:
    from edgeflow.progress import Progress

_BOOT_S = {"virt": 180.0, "raspi3b": 400.0}


def start(folder: LabFolder, device: LabDevice, progress: Progress) -> Guest:
    """Starts a virtual machine and waits until its port answers; builds what it is made of first.

    One whose power was cut has its disk and its address still. Raises LabError with the last words of its
    console, ToolMissingError; one that was not there before leaves nothing.
    """
    name = device.name
    before = recorded(folder).get(name)
    progress.step(f"prepare {name} (minutes the first time)")
    built = kernel.kernel(folder)
    place = folder.machine(name)
    place.mkdir(parents=True, exist_ok=True)
    link, started = None, None
    try:
        if not (place / DISK).exists():
            new_disk(folder, device, place / DISK)
        progress.step(f"start {name}")
        if before is None:
            link = network.new_link(name, "tap")
            network.bring_up(link)
        else:
            link = network.link_of(before)
            network.set_link(before, up=True)
        argv = argv_of(
            device,
            link,
            kernel=kernel.image(built).absolute(),
            initrd=kernel.initrd(built, str(device.machine)).absolute(),
            device_tree=kernel.pi3_device_tree(built).absolute(),
            init=init_of(device),
        )
        pid = start_program(argv, folder.log(name), folder=place)
        started = Guest(name, link.address, device.port, link.name, pid, start_time(pid) or 0)
        record(folder, started)
        await_boot(folder, device, started)
    except BaseException:
        if started is not None:
            end(started)
        if before is None:
            discard(folder, name, link.name if link else "")
        raise
    return started


def await_boot(folder: LabFolder, device: LabDevice, guest: Guest) -> None:
    """Waits until the machine's port answers. Raises LabError with the last words of its console."""
    logs = (folder.log(guest.name), folder.console(guest.name))
    await_port(guest, logs, _BOOT_S[str(device.machine)])


def reset(folder: LabFolder, guest: Guest) -> None:
    """Presses the reset button: it starts anew at once, with what its disk has. Raises LabError."""
    monitor.reset(guest.name, folder.machine(guest.name))


def discard(folder: LabFolder, name: str, link: str) -> None:
    """Removes what a machine that does not run has left: link, disk, record."""
    if link:
        network.remove(link)
    shutil.rmtree(folder.machine(name), ignore_errors=True)
    forget(folder, name)
