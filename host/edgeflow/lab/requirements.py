"""What a machine must have before the lab can start, told all at once and with the command that brings it."""

from __future__ import annotations

import os
import platform
import re
import shutil
from pathlib import Path

from edgeflow.errors import ToolMissingError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR_VARIABLE = "EDGEFLOW_LAB_MIRROR"
SUITE = "trixie"  # the first Debian with an adbd that knows shell v2 and a qemu-user that runs it well
_OLDEST_KERNEL = (6, 7)  # binfmt_misc belongs to the user namespace since then

_RIGHTS = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}

_RUN_TOOLS = {"ip": "iproute2"}
_MACHINE_RUN_TOOLS = {"qemu-system-aarch64": "qemu-system-arm", "qemu-img": "qemu-utils"}
_BUILD_TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "ssh-keygen": "openssh-client",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
}
_MACHINE_BUILD_TOOLS = {"mke2fs": "e2fsprogs", "make": "make", "dpkg-deb": "dpkg", "apt-get": "apt"}
_TUN = Path("/dev/net/tun")


def require_machine(*, virtual: bool = False) -> None:
    """Raises ToolMissingError that names all that is missing to run lab devices; `virtual`: machines too."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise ToolMissingError(
            f"the lab needs Linux on x86-64; this is {platform.system()} on {platform.machine()}",
            hint="run it in a Linux virtual machine, or use a real device: edgeflow devices scan",
        )
    if os.geteuid() != 0:
        raise ToolMissingError(
            "the lab needs root: it makes network links and mounts of its own",
            hint="sudo -E env PATH=$PATH edgeflow lab up",
        )
    _require_rights()
    release = platform.release()
    found = re.match(r"(\d+)\.(\d+)", release)
    if found is None or tuple(map(int, found.groups())) < _OLDEST_KERNEL:
        needed = ".".join(map(str, _OLDEST_KERNEL))
        raise ToolMissingError(
            f"the lab needs Linux {needed} or newer; this is {release}", hint="boot a newer kernel"
        )
    if virtual and not _TUN.exists():
        raise ToolMissingError(
            f"the lab's virtual machines need {_TUN}",
            hint="modprobe tun; in a container: docker run --device /dev/net/tun",
        )
    # What building takes is not needed where all is built; but who must install may do it once.
    run_tools = _RUN_TOOLS | (_MACHINE_RUN_TOOLS if virtual else {})
    _require_tools(run_tools, run_tools | _builders(virtual))


def require_builder(*, machine: bool = False) -> None:
    """Raises ToolMissingError that names all that is missing to build root file systems (and machines)."""
    _require_tools(_builders(machine), _builders(machine))
    if not KEYRING.is_file():
        raise ToolMissingError(
            f"the lab needs Debian's keys ({KEYRING})", hint="apt install debian-archive-keyring"
        )


def debian_mirror() -> str:
    """The Debian mirror: EDGEFLOW_LAB_MIRROR, else the one that this machine's apt uses.

    Raises ToolMissingError where there is none (Ubuntu).
    """
    if named := os.environ.get(MIRROR_VARIABLE):
        return named
    folder = Path("/etc/apt/sources.list.d")
    for path in [
        *sorted(folder.glob("*.sources")),
        *sorted(folder.glob("*.list")),
        folder.parent / "sources.list",
    ]:
        text = path.read_text("utf-8", "replace") if path.is_file() else ""
        if found := re.search(r"^(?:URIs:|deb(?: \[[^]]*\])?)\s*(\S+/debian)/?(?:\s|$)", text, re.MULTILINE):
            return found[1]
    raise ToolMissingError(
        "the lab needs a Debian mirror, and this machine's apt knows none",
        hint=f"set {MIRROR_VARIABLE} to the address of one",
    )


def _require_rights() -> None:
    """Root in a container often has only some of root's rights (capabilities(7))."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    rights = int(found[1], 16) if found else 0
    missing = [name for name, bit in _RIGHTS.items() if not rights >> bit & 1]
    if missing:
        raise ToolMissingError(
            f"the lab needs {' and '.join(missing)}, which root lacks in this container",
            hint="start the container with them (docker run --privileged), or use the machine itself",
        )


def _builders(machine: bool) -> dict[str, str]:
    return _BUILD_TOOLS | (_MACHINE_BUILD_TOOLS if machine else {})


def _require_tools(needed: dict[str, str], to_install: dict[str, str]) -> None:
    """Raises for a missing tool of `needed`, with the command for all that is missing of `to_install`."""
    missing = [tool for tool in needed if shutil.which(tool) is None]
    if missing:
        packages = [package for tool, package in to_install.items() if shutil.which(tool) is None]
        packages += [] if KEYRING.is_file() else ["debian-archive-keyring"]
        raise ToolMissingError(
            f"the lab needs {', '.join(missing)}", hint=f"apt install {' '.join(packages)}"
        )
