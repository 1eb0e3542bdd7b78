"""What the init of a namespace device (guest.py) is told: its layers, its daemon and its environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from edgeflow.lab.catalogue import LabDevice, LabFolder
from edgeflow.lab.phone import ADBD, PHONE_ENVIRONMENT, SHELL_GROUPS, locked_layer, phone_layer, properties
from edgeflow.lab.rootfs import SHELL_UID, emulator, rootfs
from edgeflow.lab.sensors import sensor_files

if TYPE_CHECKING:
    from edgeflow.progress import Progress

_STORAGE_BYTES = 1 << 30
_MAX_KHZ = 2_000_000


def plan_of(folder: LabFolder, device: LabDevice, progress: Progress) -> dict[str, Any]:
    """The plan but for the network. Builds what is not there yet. Raises LabError, ToolMissingError."""
    progress.step(f"prepare {device.name} (minutes the first time)")
    programs = emulator(folder)
    layers = [rootfs(folder, device.arch)]
    environment = {"QEMU_CPU": device.cpu, **({"QEMU_UNAME": device.kernel} if device.kernel else {})}
    plan: dict[str, Any] = {"emulators": str(programs), "storage_bytes": _STORAGE_BYTES}
    plan["files"] = sensor_files(len(os.sched_getaffinity(0)), max_khz=_MAX_KHZ)
    if device.kind == "phone":
        layers.insert(0, phone_layer(folder, layers[-1]))
        if device.locked:
            layers.insert(0, locked_layer(folder, layers[-1]))
        plan |= {
            "files": {**plan["files"], "/system/build.prop": properties(device)},
            "argv": [f"/{ADBD}"],
            "uid": SHELL_UID,
            "groups": SHELL_GROUPS,
            "env": environment | PHONE_ENVIRONMENT,
        }
    else:
        setenv = " ".join(f"{key}={value}" for key, value in environment.items())
        plan |= {
            "argv": ["/usr/sbin/sshd", "-D", "-e", "-o", f"SetEnv={setenv}"],
            "uid": 0,
            "groups": [],
            "env": {**environment, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
        }
    plan["layers"] = [str(layer) for layer in layers]
    return plan
