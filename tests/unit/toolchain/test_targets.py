"""Which program a device runs follows from what it tells of itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeflow.errors import DeviceError, UsageError
from edgeflow.toolchain.targets import TARGETS, target_named, targets_for
from edgeflow.types import DeviceFacts

PHONE = DeviceFacts(
    os="android", os_version="Android 14", kernel="5.10", arch="aarch64", abis=("arm64-v8a", "armeabi-v7a"),
    libc="bionic", libc_version=None, model="Pixel 7", soc=None, api_level=34, cores=8, clusters=(),
    memory_bytes=None, memory_available_bytes=None, disk_free_bytes=None,
)  # fmt: skip
LINUX = replace(PHONE, os="linux", abis=("arm64-v8a",), libc="glibc", libc_version="2.36")


def names(facts: DeviceFacts, *, local: bool = False) -> list[str]:
    return [target.name for target in targets_for("d", facts, local=local)]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (PHONE, ["android-arm64", "android-arm64-static"]),
        (replace(PHONE, abis=("armeabi-v7a", "armeabi")), ["android-armv7-static"]),
        (replace(PHONE, abis=("x86_64", "arm64-v8a")), ["android-x86_64-static"]),
        (LINUX, ["linux-aarch64"]),
        (replace(LINUX, libc="musl"), ["linux-aarch64"]),
        # A 64-bit kernel with a 32-bit system, as Raspberry Pi OS had it.
        (replace(LINUX, arch="aarch64", abis=("armeabi-v7a",)), ["linux-armv7"]),
        (replace(LINUX, arch="x86_64", abis=("x86_64",)), ["linux-x86_64"]),
    ],
)
def test_the_first_abi_decides(facts: DeviceFacts, expected: list[str]) -> None:
    assert names(facts) == expected


def test_this_machine_gets_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert names(LINUX, local=True) == ["host"]


@pytest.mark.parametrize(
    "facts", [replace(LINUX, arch="riscv64", abis=("riscv64",)), replace(LINUX, os="darwin")]
)
def test_what_nothing_is_built_for_is_named(facts: DeviceFacts) -> None:
    with pytest.raises(DeviceError, match="d: the native agent is not built for") as caught:
        names(facts)
    assert "linux arm64-v8a" in caught.value.hint


def test_an_unknown_target_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"unknown target 'linux-arm64'.*linux-aarch64"):
        target_named("linux-arm64")


def test_every_target_has_its_toolchain_file() -> None:
    from edgeflow import resources

    files = {path.stem for path in (resources.toolchains() / "cmake").glob("*.cmake")}
    assert files == set(TARGETS)
