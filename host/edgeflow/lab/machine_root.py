"""What a root file system needs beside its packages to start as a virtual machine: an init, and its daemon.

By then the first root file system (initrd.py) has loaded the drivers, set up the network and mounted /dev,
/proc, /sys, /run and /tmp.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from edgeflow.lab.catalogue import LINUX_USER, LabDevice
from edgeflow.lab.phone import ADBD, PHONE_ENVIRONMENT, SHELL_GROUPS, properties
from edgeflow.lab.rootfs import SHELL_UID

PLAIN_INIT = "/usr/sbin/lab-init"
SYSTEMD = "/usr/lib/systemd/systemd"

# The daemon again whenever it ends, as Android's init has it; a shell also reaps what is left to it.
_INIT = """#!/usr/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
cd /
while :; do
  {daemon} < /dev/null
  sleep 1
done
"""

# What a machine without hardware to find, disks to check or keys to make needs not: under emulation each of
# these costs a second or more.
_MASKED_UNITS = (
    "getty.target", "kmod-static-nodes.service", "ldconfig.service", "proc-sys-fs-binfmt_misc.automount",
    "sys-fs-fuse-connections.mount", "sys-kernel-config.mount", "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount", "systemd-ask-password-console.path", "systemd-ask-password-wall.path",
    "systemd-binfmt.service", "systemd-creds.socket", "systemd-firstboot.service",
    "systemd-hibernate-clear.service", "systemd-hostnamed.socket", "systemd-journal-catalog-update.service",
    "systemd-machine-id-commit.service", "systemd-modules-load.service", "systemd-network-generator.service",
    "systemd-pcrextend.socket", "systemd-pcrlock.socket", "systemd-pcrmachine.service",
    "systemd-pcrphase.service", "systemd-pcrphase-sysinit.service", "systemd-random-seed.service",
    "systemd-sysext.socket", "systemd-sysusers.service", "systemd-tpm2-setup.service",
    "systemd-tpm2-setup-early.service", "systemd-update-done.service",
)  # fmt: skip
# Whom dbus runs as.
_PASSWD = "messagebus:x:101:101::/nonexistent:/usr/sbin/nologin\n"
_GROUP = "messagebus:x:101:\n"
_PAM = {
    "other": "auth required pam_deny.so\naccount required pam_permit.so\nsession required pam_permit.so\n",
    "systemd-user": "account required pam_permit.so\nsession required pam_permit.so\n"
    "session optional pam_systemd.so\n",
}


def init_of(device: LabDevice) -> str:
    """The program that the first root file system hands over to."""
    return SYSTEMD if has_systemd(device) else PLAIN_INIT


def has_systemd(device: LabDevice) -> bool:
    return device.kind == "linux" and device.machine == "virt"


def made_from(device: LabDevice) -> list[str]:
    """What a disk depends on through this module."""
    return [_daemon(device), _INIT, *_MASKED_UNITS, _PASSWD, _GROUP, str(_PAM), _properties(device)]


def prepare(root: Path, device: LabDevice) -> None:
    """Makes the unpacked `root` one that starts as this device."""
    for name in ("dev", "proc", "sys", "run", "tmp", "root"):
        (root / name).mkdir(exist_ok=True)
    if has_systemd(device):
        _prepare_systemd(root, device)
        return
    if device.kind == "phone":
        (root / "system/build.prop").write_text(_properties(device))
    init = root / PLAIN_INIT.lstrip("/")
    init.write_text(_INIT.format(daemon=_daemon(device)))
    init.chmod(0o755)


def _daemon(device: LabDevice) -> str:
    if device.kind == "linux":
        return "/usr/sbin/sshd -D -e"
    groups = ",".join(map(str, SHELL_GROUPS))
    variables = " ".join(f"{name}={value}" for name, value in PHONE_ENVIRONMENT.items())
    who = f"--reuid {SHELL_UID} --regid {SHELL_UID} --groups {groups}"
    return f"/usr/bin/setpriv {who} /usr/bin/env -i {variables} /{ADBD}"


def _properties(device: LabDevice) -> str:
    return properties(device) if device.kind == "phone" else ""


def _prepare_systemd(root: Path, device: LabDevice) -> None:
    """What the packages' scripts would have done, so that systemd reaches sshd and the user's own units."""
    etc = root / "etc"
    units = etc / "systemd/system"
    masked = [units / name for name in _MASKED_UNITS]
    generators = root / "usr/lib/systemd/system-generators"
    masked += [etc / "systemd/system-generators" / path.name for path in generators.iterdir()]
    for path in masked:
        _link(path, "/dev/null")
    _link(units / "default.target", "/usr/lib/systemd/system/multi-user.target")
    _link(units / "multi-user.target.wants/ssh.service", "/usr/lib/systemd/system/ssh.service")
    for name, text in _PAM.items():
        (etc / "pam.d" / name).write_text(text)
    for name, lines in (("passwd", _PASSWD), ("group", _GROUP)):
        with (etc / name).open("a") as table:
            table.write(lines)
    (etc / "hostname").write_text(f"{device.name}\n")
    (etc / "machine-id").write_text(f"{hashlib.sha256(device.name.encode()).hexdigest()[:32]}\n")
    lingering = root / "var/lib/systemd/linger" / LINUX_USER
    lingering.parent.mkdir(parents=True, exist_ok=True)
    lingering.touch()


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
