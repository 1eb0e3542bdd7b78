"""A lab device from inside: the program that becomes its init. Standard library only; Linux on x86-64 only.

Started by namespaces.py, it speaks lines of JSON. In: the plan. Out: {"unshared": true} once it is in new
namespaces. In: an empty line once its ids are mapped and its network link is there. Out: {"init": pid}, then
{"ready": true} from within, or {"error": text}. It stays to reap its init; when that is killed, all ends.

Binaries of another architecture run by qemu-user through a binfmt_misc of the device's own user namespace,
which Linux has since 6.7: nothing of the machine's own binfmt_misc changes.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess  # noqa: TID251 - this file is a program of its own
import sys
from pathlib import Path
from typing import Any

_UNSHARE = (
    0x10000000 | 0x00020000 | 0x04000000 | 0x08000000 | 0x40000000 | 0x20000000
)  # user mnt uts ipc net pid
_MS_BIND, _MS_REC, _MS_PRIVATE, _MNT_DETACH = 0x1000, 0x4000, 0x40000, 2
_PIVOT_ROOT = 155  # x86-64

# ELF headers: class, little endian, executable or shared object, machine (183 AArch64, 40 ARM).
_FORMATS = {
    "qemu-aarch64": r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00",
    "qemu-arm": r"\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x28\x00",
}
_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00" + r"\xff" * 8 + r"\xfe\xff\xff\xff"

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    plan = json.loads(sys.stdin.readline())
    try:
        _checked(_libc.unshare(_UNSHARE), "unshare")
        _say(unshared=True)
        if not sys.stdin.readline():
            return  # whoever started us is gone
        os.setresgid(0, 0, 0)
        os.setgroups([])
        os.setresuid(0, 0, 0)
        init = os.fork()
    except OSError as error:
        _say(error=f"{error.filename or ''}: {error.strerror}")
        raise
    if init:
        _say(init=init)
        _quiet()
        os.waitpid(init, 0)
        return
    try:
        _become(plan)
    except BaseException as error:
        _say(error=f"{type(error).__name__}: {error}")
        raise


def _become(plan: dict[str, Any]) -> None:
    """The init: its own root, then the daemon as its child, whose end is the device's end."""
    os.setsid()
    root = Path(plan["mount_point"])
    _mount("none", Path("/"), "", _MS_REC | _MS_PRIVATE)
    _mount_root(plan, root)
    _register_emulators(root, plan["emulators"])
    for name, text in plan["files"].items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    _bring_up(plan["address"], plan["gateway"])
    socket.sethostname(plan["name"])
    _pivot(root)
    daemon = os.fork()
    if daemon == 0:
        _quiet()
        os.setgroups(plan["groups"])
        os.setresgid(plan["uid"], plan["uid"], plan["uid"])
        os.setresuid(plan["uid"], plan["uid"], plan["uid"])
        os.execve(plan["argv"][0], plan["argv"], plan["env"])
    _say(ready=True)
    _quiet()
    while os.wait()[0] != daemon:
        continue  # an init reaps whatever is left to it


def _mount_root(plan: dict[str, Any], root: Path) -> None:
    upper = root.with_name(f"{root.name}.upper")
    upper.mkdir(parents=True, exist_ok=True)
    root.mkdir(parents=True, exist_ok=True)
    _mount("tmpfs", upper, "tmpfs", 0, f"size={plan['storage_bytes']},mode=755")
    for name in ("files", "work"):
        (upper / name).mkdir()
    layers = ":".join(plan["layers"])
    _mount("overlay", root, "overlay", 0, f"lowerdir={layers},upperdir={upper}/files,workdir={upper}/work")
    _mount("proc", root / "proc", "proc")
    for name, options in (("sys", ""), ("dev", "mode=755"), ("run", "mode=755"), ("tmp", "mode=1777")):
        _mount("tmpfs", root / name, "tmpfs", 0, options)
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        (root / "dev" / name).touch()
        _mount(f"/dev/{name}", root / "dev" / name, "", _MS_BIND)
    for name in ("pts", "shm", "socket"):
        (root / "dev" / name).mkdir()
    _mount("devpts", root / "dev/pts", "devpts", 0, "newinstance,ptmxmode=666,mode=620")
    _mount("tmpfs", root / "dev/shm", "tmpfs", 0, "mode=1777")
    (root / "dev/ptmx").symlink_to("pts/ptmx")
    (root / "dev/fd").symlink_to("/proc/self/fd")
    (root / "run/sshd").mkdir()


def _register_emulators(root: Path, programs: str) -> None:
    """F: the kernel opens the emulator now, so that it need not exist in the device's own root."""
    binfmt = root / "proc/sys/fs/binfmt_misc"
    _mount("binfmt_misc", binfmt, "binfmt_misc")
    for name, magic in _FORMATS.items():
        (binfmt / "register").write_text(f":{name}:M::{magic}:{_MASK}:{programs}/{name}:F")


def _bring_up(address: str, gateway: str) -> None:
    for words in (
        "link set lo up",
        f"addr add {address}/30 dev eth0",
        "link set eth0 up",
        f"route add default via {gateway}",
    ):
        subprocess.run(["ip", *words.split()], check=True, capture_output=True)


def _pivot(root: Path) -> None:
    """Makes `root` the only file system there is; a chroot could be left again."""
    os.chdir(root)
    _checked(_libc.syscall(_PIVOT_ROOT, b".", b"."), "pivot_root")
    _checked(_libc.umount2(b".", _MNT_DETACH), "umount")
    os.chdir("/")


def _mount(source: str, target: Path, kind: str, flags: int = 0, options: str = "") -> None:
    done = _libc.mount(
        source.encode(), str(target).encode(), kind.encode() or None, flags, options.encode() or None
    )
    _checked(done, f"mount {target}")


def _checked(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)


def _say(**words: object) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def _quiet() -> None:
    """Lets go of the pipes of whoever started us; stderr stays the device's log."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)


if __name__ == "__main__":
    main()
