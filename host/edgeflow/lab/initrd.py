"""The first root file system of a virtual machine: busybox, some drivers, a script that starts them. Pure.

The script finds what differs between devices on the kernel's command line (lab.address=… and so on).
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

_SCRIPT = r"""#!/bin/busybox sh
busybox=/bin/busybox
fail() {
  echo "lab: $1"
  $busybox poweroff -f
}
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sysfs /sys
$busybox mount -t devtmpfs devtmpfs /dev
for module in /modules/*.ko; do
  $busybox insmod $module || fail "cannot load $module"
done
for word in $($busybox cat /proc/cmdline); do
  case $word in
    lab.root=*) root=${word#*=} ;;
    lab.init=*) init=${word#*=} ;;
    lab.name=*) echo ${word#*=} > /proc/sys/kernel/hostname ;;
    lab.address=*) address=${word#*=} ;;
    lab.gateway=*) gateway=${word#*=} ;;
  esac
done
link=
tries=0
while [ ! -b "$root" ] || [ -z "$link" ]; do
  for name in eth0 usb0; do
    [ -e /sys/class/net/$name ] && link=$name
  done
  [ $tries -lt 1200 ] || fail "no disk $root or no network link within 120 s"
  tries=$((tries + 1))
  $busybox usleep 100000
done
$busybox ip link set lo up
$busybox ip addr add $address/30 dev $link
$busybox ip link set $link up
$busybox ip route add default via $gateway
for file in /sys/module/lab_battery/parameters/*; do
  [ -e $file ] && $busybox chmod 666 $file  # no root is needed to play with the battery
done
$busybox mount -t ext4 $root /root || fail "cannot mount $root"
$busybox mkdir -p /dev/pts /dev/shm
$busybox mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
$busybox mount -t tmpfs -o mode=1777 tmpfs /dev/shm
$busybox mount -t tmpfs -o mode=755 tmpfs /root/run
$busybox mount -t tmpfs -o mode=1777 tmpfs /root/tmp
$busybox mkdir -p /root/run/sshd
$busybox ln -sf /proc/self/fd /dev/fd
for name in dev proc sys; do
  $busybox mount -o move /$name /root/$name
done
exec $busybox switch_root /root $init
"""
SCRIPT_VERSION = _SCRIPT
"""Whoever keeps an initrd names this among what it is made from."""

_FOLDER, _PROGRAM, _FILE = 0o040755, 0o100755, 0o100644


def build_initrd(busybox: Path, modules: Iterable[Path]) -> bytes:
    """The archive with these modules, which the script loads in this order."""
    folders = ("bin", "dev", "proc", "sys", "root", "modules")
    files: dict[str, tuple[int, bytes]] = dict.fromkeys(folders, (_FOLDER, b""))
    files["init"] = (_PROGRAM, _SCRIPT.encode())
    files["bin/busybox"] = (_PROGRAM, busybox.read_bytes())
    for number, path in enumerate(modules):
        files[f"modules/{number:02d}-{path.name}"] = (_FILE, path.read_bytes())
    return gzip.compress(_cpio(files), compresslevel=1, mtime=0)


def in_load_order(wanted: Iterable[str], folder: Path, builtin: str) -> list[Path]:
    """The files of these kernel modules and of all that they need, each after what it needs.

    `builtin` is the kernel's modules.builtin. Raises ValueError for a module that is neither there nor there.
    """
    files = {_plain(path.name): path for path in sorted(folder.rglob("*.ko"))}
    inside = {_plain(PurePosixPath(line).name) for line in builtin.split()}
    ordered: dict[str, Path] = {}

    def add(name: str) -> None:
        if name in ordered or (name in inside and name not in files):
            return
        if name not in files:
            raise ValueError(f"the kernel has no module {name}")
        for needed in _needs(files[name].read_bytes()):
            add(_plain(needed))
        ordered[name] = files[name]

    for name in wanted:
        add(_plain(name))
    return list(ordered.values())


def _needs(module: bytes) -> list[str]:
    """What a module's .modinfo says that it depends on (include/linux/moduleparam.h)."""
    found = re.search(rb"\0depends=([^\0]*)\0", module)
    return [name for name in found[1].decode().split(",") if name] if found else []


def _plain(name: str) -> str:
    return name.removesuffix(".ko").replace("-", "_")


def _cpio(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    """An archive in the format "newc" (Linux: Documentation/driver-api/early-userspace/buffer-format.rst)."""
    archive = bytearray()
    for number, (name, (mode, data)) in enumerate([*files.items(), ("TRAILER!!!", (0, b""))], start=1):
        encoded = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
        archive += b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
        archive += bytes(-len(archive) % 4)
        archive += data + bytes(-len(data) % 4)
    return bytes(archive)
