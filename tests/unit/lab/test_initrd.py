"""Which kernel modules a virtual machine loads, in which order, and the archive that holds them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from edgeflow.lab.initrd import build_initrd, in_load_order


def module(folder: Path, name: str, *needs: str) -> Path:
    path = folder / f"{name}.ko"
    path.write_bytes(b"\x7fELF\0license=GPL\0depends=" + ",".join(needs).encode() + b"\0name=x\0")
    return path


def test_each_module_comes_after_what_it_needs(tmp_path: Path) -> None:
    net = module(tmp_path, "virtio_net", "net-failover", "virtio")
    failover = module(tmp_path, "net_failover", "failover")
    last = module(tmp_path, "failover")
    builtin = "kernel/virtio.ko\nkernel/fs/ext4.ko\n"
    ordered = in_load_order(["virtio-net", "ext4", "failover"], tmp_path, builtin)
    assert ordered == [last, failover, net]


def test_a_module_that_is_nowhere_is_named(tmp_path: Path) -> None:
    module(tmp_path, "ext4", "jbd2")
    with pytest.raises(ValueError, match="no module jbd2"):
        in_load_order(["ext4"], tmp_path, "")


def test_the_archive_holds_the_modules_in_order(tmp_path: Path) -> None:
    busybox = tmp_path / "busybox"
    busybox.write_bytes(b"program")
    archive = gzip.decompress(build_initrd(busybox, [module(tmp_path, "b"), module(tmp_path, "a")]))
    assert archive.index(b"modules/00-b.ko\0") < archive.index(b"modules/01-a.ko\0")
    assert b"TRAILER!!!" in archive[-20:]
    assert archive.startswith(b"070701")
