"""Debian root file systems by extraction alone: no maintainer script runs, so nothing needs emulation."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from edgeflow.lab.catalogue import LINUX_USER, LabFolder
from edgeflow.lab.commands import run
from edgeflow.lab.requirements import KEYRING, SUITE, debian_mirror, require_builder

_SYSTEM = (
    "base-files,base-passwd,bash,dash,coreutils,libc-bin,grep,sed,gawk,tar,gzip,findutils,hostname,procps"
)
_DAEMONS = "util-linux,login,openssh-server,openssh-sftp-server,adbd,toybox,mksh"
_FOR_THE_AGENT = "python3,ca-certificates,libstdc++6,libgomp1"  # the runtimes' wheels need the last two
_PACKAGES = f"{_SYSTEM},{_DAEMONS},{_FOR_THE_AGENT}".split(",")
_SUITES = {"armhf": "bookworm"}  # what 32-bit boards run; trixie's index for them is not on every mirror
_SYSTEMD_PACKAGES = ["systemd", "libpam-systemd", "dbus"]
_LAYOUT = 1  # of what is made of the packages; another number makes old images useless
EMULATORS = ("qemu-aarch64", "qemu-arm")
_BUILD_S = 900.0
_LINUX_UID = 1000
SHELL_UID = 2000  # Android's `shell`


def emulator(folder: LabFolder) -> Path:
    """The folder with a static qemu-user (qemu-aarch64, qemu-arm), fetched once. Raises LabError."""

    def build(target: Path) -> None:
        whole = target / "all"
        _extract(whole, "amd64", ["qemu-user"])
        for name in EMULATORS:
            (whole / "usr/bin" / name).rename(target / name)
        shutil.rmtree(whole)

    return cached(folder, "emulator", ["qemu-user", SUITE, *EMULATORS], build)


def rootfs(folder: LabFolder, arch: str, *, systemd: bool = False) -> Path:
    """A Debian for `arch` with sshd, adbd and Python, built once. Raises LabError, ToolMissingError."""
    make_user_key(folder)
    public_key = folder.user_key.with_suffix(".pub").read_text()
    packages = [*_PACKAGES, *(_SYSTEMD_PACKAGES if systemd else [])]
    if _suite(arch) != SUITE:
        packages.remove("adbd")  # bookworm has none for it, and there is no such phone in the lab

    def build(target: Path) -> None:
        _extract(target, arch, packages)
        _configure(target, public_key)

    name = f"debian-{arch}{'-systemd' if systemd else ''}"
    return cached(folder, name, [*packages, _suite(arch), str(_LAYOUT), public_key], build)


def _suite(arch: str) -> str:
    return _SUITES.get(arch, SUITE)


def cached(
    folder: LabFolder,
    name: str,
    made_from: list[str],
    build: Callable[[Path], None],
    *,
    machine: bool = False,
) -> Path:
    """The image `name` for exactly what it is made from; built under another name and renamed when whole.

    `machine`: it is of a virtual machine, which takes more tools to build. Raises ToolMissingError.
    """
    digest = hashlib.sha256("\n".join(made_from).encode()).hexdigest()[:12]
    image = folder.images / f"{name}-{digest}"
    if image.is_dir():
        return image
    require_builder(machine=machine)
    folder.images.mkdir(parents=True, exist_ok=True)
    part = folder.images / f".{name}-{digest}.{os.getpid()}.part"
    try:
        part.mkdir()
        part.chmod(0o755)
        build(part)
        _publish(part, image)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return image


def _publish(part: Path, image: Path) -> None:
    try:
        part.rename(image)
    except OSError:
        if not image.is_dir():  # otherwise another process was faster, with the same content
            raise


def make_user_key(folder: LabFolder) -> None:
    """The key that lab devices with sshd accept, made once."""
    if not folder.user_key.is_file():
        folder.keys.mkdir(parents=True, exist_ok=True)
        folder.keys.chmod(0o700)
        _make_key(folder.user_key, "edgeflow-lab")


def _make_key(path: Path, comment: str) -> None:
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
    run(argv, f"make the key {path.name}", timeout_s=30)


def _extract(target: Path, arch: str, packages: list[str]) -> None:
    without = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale", "info")]
    argv = [
        "mmdebstrap", "--quiet", "--mode=root", "--variant=extract", f"--architectures={arch}",
        '--aptopt=Acquire::Languages "none"', f"--keyring={KEYRING}", *without,
        f"--include={','.join(packages)}", _suite(arch), str(target), debian_mirror(),
    ]  # fmt: skip
    run(argv, f"build a Debian for {arch}", timeout_s=_BUILD_S, env={"TMPDIR": str(target.parent)})


def _configure(root: Path, public_key: str) -> None:
    """What the packages' scripts would have done, as far as sshd, adbd and Python need it."""
    etc, base = root / "etc", root / "usr/share/base-passwd"
    users = (base / "passwd.master").read_text().replace("root:*:", "root:x:")
    users += "sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n"
    users += f"{LINUX_USER}:x:{_LINUX_UID}:{_LINUX_UID}::/home/{LINUX_USER}:/bin/bash\n"
    users += f"shell:x:{SHELL_UID}:{SHELL_UID}::/:/bin/sh\n"
    (etc / "passwd").write_text(users)
    groups = f"{LINUX_USER}:x:{_LINUX_UID}:\nshell:x:{SHELL_UID}:\n"
    (etc / "group").write_text((base / "group.master").read_text() + groups)
    # '*': no password fits, but the account is not locked, so sshd lets keys in.
    names = [line.partition(":")[0] for line in users.splitlines()]
    (etc / "shadow").write_text("".join(f"{name}:*:20000:0:99999:7:::\n" for name in names))
    (etc / "shadow").chmod(0o640)
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nshadow: files\nhosts: files\n")
    (etc / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    awk = root / "usr/bin/awk"
    if not awk.exists():
        awk.symlink_to("gawk")
    _configure_ssh(root, public_key)
    run(["ldconfig", "-r", str(root)], "make the library cache", timeout_s=60)


def _configure_ssh(root: Path, public_key: str) -> None:
    ssh = root / "etc/ssh"
    ssh.mkdir(parents=True, exist_ok=True)
    _make_key(ssh / "ssh_host_ed25519_key", "lab")
    (ssh / "sshd_config").write_text(
        "HostKey /etc/ssh/ssh_host_ed25519_key\nUsePAM no\nPasswordAuthentication no\nPrintMotd no\n"
        "Subsystem sftp /usr/lib/openssh/sftp-server\n"
    )
    home = root / "home" / LINUX_USER
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh/authorized_keys").write_text(public_key)
    for path in (home, home / ".ssh", home / ".ssh/authorized_keys"):
        os.chown(path, _LINUX_UID, _LINUX_UID)
        path.chmod(0o700 if path.is_dir() else 0o600)
