"""Which wheels a device can take, told from its facts before anything is fetched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgeflow.agentlink.wheels import _require_pinned, platform_for
from edgeflow.errors import DeviceError, ToolMissingError
from edgeflow.types import DeviceFacts

PI5 = DeviceFacts(
    os="linux", os_version="Debian 12", kernel="6.6", arch="aarch64", abis=("arm64-v8a",), libc="glibc",
    libc_version="2.36", model="Raspberry Pi 5", soc="bcm2712", api_level=None, cores=4, clusters=(),
    memory_bytes=4 << 30, memory_available_bytes=3 << 30, disk_free_bytes=8 << 30, python_version="3.11.2",
)  # fmt: skip
X86 = {"arch": "x86_64", "abis": ("x86_64",)}


def test_a_64_bit_board_takes_every_manylinux_up_to_its_glibc() -> None:
    platform = platform_for("pi5", "onnxruntime", PI5)
    assert (platform.python, platform.python_tag) == ("3.11", "cp311")
    assert platform.tags[0] == "manylinux_2_36_aarch64"
    assert platform.tags[-2:] == ("manylinux_2_17_aarch64", "manylinux2014_aarch64")
    assert "manylinux_2_37_aarch64" not in platform.tags


def test_x86_goes_further_back() -> None:
    facts = replace(PI5, arch="x86_64", abis=("x86_64",), libc_version="2.17")
    tags = platform_for("nas", "ncnn", facts).tags
    assert tags[:2] == ("manylinux_2_17_x86_64", "manylinux2014_x86_64")
    assert tags[-2:] == ("manylinux_2_5_x86_64", "manylinux1_x86_64")


def test_musl_takes_musl_wheels_where_there_are_some() -> None:
    alpine = replace(PI5, libc="musl", libc_version="1.2.4", os_version="Alpine Linux 3.19")
    tags = platform_for("alpine", "ncnn", alpine).tags
    assert tags == ("musllinux_1_2_aarch64", "musllinux_1_1_aarch64", "musllinux_1_0_aarch64")


@pytest.mark.parametrize(
    ("changes", "runtime", "words"),
    [
        ({"arch": "armv7l", "abis": ("armeabi-v7a",)}, "onnxruntime", "armv7l"),
        # A 32-bit system on a 64-bit kernel: `uname -m` says aarch64, its programs are armv7.
        ({"abis": ("armeabi-v7a", "arm64-v8a")}, "ncnn", "armv7l"),
        ({"libc": "musl", "libc_version": "1.2.4", "os_version": "Alpine"}, "onnxruntime", "musl.*Alpine"),
        ({"os": "darwin", "libc": "libSystem"}, "ncnn", "darwin"),
        ({"arch": "riscv64", "abis": ("riscv64",)}, "ncnn", "riscv64"),
        ({"libc_version": None}, "ncnn", "which libc"),
        ({}, "paddlelite", "x86-64 alone, this is"),
        ({**X86, "libc": "musl", "libc_version": "1.2.4", "os_version": "Alpine"}, "paddlelite", "musl"),
        ({**X86, "python_version": "3.11.2"}, "paddlelite", r"its Python is 3\.11.*3\.8, 3\.9 and 3\.10"),
        ({**X86, "python_version": "3.7.3"}, "paddlelite", r"its Python is 3\.7"),
    ],
)
def test_what_has_no_wheels_is_named(changes: dict[str, object], runtime: str, words: str) -> None:
    with pytest.raises(DeviceError, match=words) as caught:
        platform_for("board", runtime, replace(PI5, **changes))  # type: ignore[arg-type]
    assert caught.value.message.startswith(f"board: {runtime}")
    assert caught.value.hint


def test_paddle_lite_is_for_some_pythons_only_and_the_hint_names_one_and_the_other_agent() -> None:
    """A newer Python is what it is not for."""
    older = replace(PI5, python_version="3.10.13", **X86)  # type: ignore[arg-type]
    assert platform_for("nas", "paddlelite", older).python == "3.10"
    with pytest.raises(DeviceError) as caught:
        platform_for("nas", "paddlelite", replace(older, python_version="3.12.1"))
    assert "newer" not in caught.value.hint
    assert "`python:` of nas" in caught.value.hint and "--agent native" in caught.value.hint


def test_a_runtime_for_a_device_is_the_file_that_was_pinned(tmp_path: Path) -> None:
    (tmp_path / "numpy-1.26.4-cp311-cp311-linux_aarch64.whl").write_bytes(b"pinned by nobody")
    _require_pinned(tmp_path, "pi5")
    (tmp_path / "ncnn-1.0.20261020-cp311-cp311-manylinux_2_28_aarch64.whl").write_bytes(b"something else")
    with pytest.raises(ToolMissingError, match=r"ncnn-1\.0\..* for pi5 is not the file that was pinned"):
        _require_pinned(tmp_path, "pi5")


PC = replace(PI5, arch="x86_64", abis=("x86_64",))


def test_the_emulator_that_stands_in_for_snpe_goes_to_newer_x86_machines() -> None:
    assert platform_for("pc", "snpe", PC).tags[0] == "manylinux_2_36_x86_64"
    for changes, words in (
        ({"arch": "aarch64", "abis": ("arm64-v8a",)}, "x86-64 alone, this is aarch64"),
        ({"libc_version": "2.31"}, "Python 3.11 and glibc 2.35, it has Python 3.11 and glibc 2.31"),
        ({"python_version": "3.10.4"}, "it has Python 3.10 and glibc 2.36"),
        ({"libc": "musl", "libc_version": "1.2.4"}, "not published for musl"),
    ):
        with pytest.raises(DeviceError, match=words):
            platform_for("pc", "snpe", replace(PC, **changes))
