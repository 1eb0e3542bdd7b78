"""What users bring: where it may lie, what of it goes to a device, and what is told where it cannot."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest

from edgeflow.errors import EdgeflowError, ToolMissingError, UsageError
from edgeflow.progress import Silent
from edgeflow.toolchain.brought import brought
from edgeflow.toolchain.elf import read_elf
from edgeflow.toolchain.products import how_to_get, offered, published
from edgeflow.toolchain.store import BuildStore
from edgeflow.toolchain.targets import TARGETS
from edgeflow.toolchain.vendor import vendor_site

LIBRARY = "libpaddle_light_api_shared.so"
AARCH64, ARM, X86_64 = 183, 40, 62


def elf(machine: int, *needed: str, soname: str = "") -> bytes:
    """A shared library of 64 bits that is nothing but its dynamic section."""
    strings, entries = b"\0", b""
    for tag, name in [*((1, name) for name in needed), *([(14, soname)] if soname else [])]:
        entries += struct.pack("<qQ", tag, len(strings))
        strings += name.encode() + b"\0"
    start = 64 + 2 * 56
    entries += struct.pack("<qQ", 5, start) + struct.pack("<qQ", 0, 0)
    whole = start + len(strings) + len(entries)
    header = b"\x7fELF\2\1\1".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, whole, whole, 4096)
    at = start + len(strings)
    dynamic = struct.pack("<IIQQQQQQ", 2, 6, at, at, at, len(entries), len(entries), 8)
    return header + load + dynamic + strings + entries


def archive(folder: Path, content: bytes, **beside: bytes) -> Path:
    (folder / "cxx/lib").mkdir(parents=True)
    (folder / "cxx/include").mkdir()
    (folder / "cxx/include/paddle_api.h").write_text("// theirs")
    (folder / "cxx/lib" / LIBRARY).write_bytes(content)
    for name, each in beside.items():
        (folder / "cxx/lib" / f"{name}.so").write_bytes(each)
    return folder


def test_a_compilers_own_library_is_read(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    path = tmp_path / "libown.so"
    source = '#include <stdio.h>\nvoid say(void) { puts("said"); }\n'
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-Wl,-soname,libown.so.3", "-x", "c", "-", "-o", path],
        input=source, text=True, check=True,
    )  # fmt: skip
    found = read_elf(path)
    assert (found.soname, found.needed, found.is_android) == ("libown.so.3", ("libc.so.6",), False)
    whole = path.read_bytes()
    for size in (3, 40, 70, 300):
        path.write_bytes(whole[:size])
        with pytest.raises(UsageError, match=r"libown\.so: (not a library for a device|a damaged library)"):
            read_elf(path)


def test_an_archive_for_arm_linux_goes_to_boards_and_to_phones_by_the_c_library_that_is_brought(
    tmp_path: Path,
) -> None:
    library = elf(AARCH64, "libgomp.so.1", "libnn.so", "libstdc++.so.6", "libc.so.6", soname=LIBRARY)
    folder = archive(
        tmp_path / "v2.14" / "inference_lite_lib.armlinux.armv8", library, libnn=elf(AARCH64, "libc.so.6")
    )
    for target in ("linux-aarch64", "android-arm64-static"):
        site = vendor_site("paddlelite", TARGETS[target], folder.parent)
        assert sorted(site.files) == ["libnn.so", LIBRARY] and site.version == "2.14"
        assert site.more == {"EDGEFLOW_BUNDLE_MORE": "libgomp.so.1"}
    with pytest.raises(UsageError, match="for aarch64, but linux-armv7 is armv7l"):
        vendor_site("paddlelite", TARGETS["linux-armv7"], folder)
    with pytest.raises(UsageError, match="of Linux's C library, but android-arm64 is built for Android's"):
        vendor_site("paddlelite", TARGETS["android-arm64"], folder)


def test_an_archive_for_android_needs_an_ndk_and_says_so(tmp_path: Path) -> None:
    library = elf(AARCH64, "libc.so", "libm.so", "liblog.so", "libc++_shared.so")
    folder = archive(tmp_path / "inference_lite_lib.android.armv8.clang.c++_shared", library)
    site = vendor_site("paddlelite", TARGETS["android-arm64"], folder)
    assert site.more == {"ANDROID_STL": "c++_shared"} and list(site.files) == [LIBRARY]
    with pytest.raises(
        UsageError, match="of Android's C library; a program of android-arm64-static"
    ) as caught:
        vendor_site("paddlelite", TARGETS["android-arm64-static"], folder)
    assert "NDK" in caught.value.hint


def test_what_an_archive_lacks_is_named(tmp_path: Path) -> None:
    target = TARGETS["linux-aarch64"]
    with pytest.raises(UsageError, match=rf"no cxx/lib/{LIBRARY}") as caught:
        vendor_site("paddlelite", target, tmp_path)
    assert "release archive" in caught.value.hint
    folder = archive(tmp_path / "lite", elf(AARCH64, "libOpenCL.so", "libc.so.6"))
    with pytest.raises(UsageError, match=r"needs libOpenCL\.so, not beside it"):
        vendor_site("paddlelite", target, folder)
    (folder / "cxx/include/paddle_api.h").unlink()
    with pytest.raises(UsageError, match=r"no cxx/include/paddle_api\.h"):
        vendor_site("paddlelite", target, folder)


def test_an_sdk_of_qualcomm_gives_what_its_system_and_the_dsp_need(tmp_path: Path) -> None:
    sdk = tmp_path / "qairt" / "2.22.6.240515"
    for name in ("aarch64-android/libSNPE.so", "aarch64-android/libSnpeHtpV73Stub.so",
                 "aarch64-android/libQnnCpu.so", "aarch64-ubuntu-gcc9.4/libSNPE.so",
                 "hexagon-v73/unsigned/libSnpeHtpV73Skel.so",
                 "hexagon-v73/unsigned/libQnnHtpV73Skel.so"):  # fmt: skip
        path = sdk / "lib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(elf(AARCH64, "libc.so" if "android" in name else "libc.so.6"))
    site = vendor_site("snpe", TARGETS["android-arm64"], sdk)
    assert sorted(site.files) == ["libSNPE.so", "libSnpeHtpV73Skel.so", "libSnpeHtpV73Stub.so"]
    assert site.version == "2.22.6.240515" and site.files["libSNPE.so"].parent.name == "aarch64-android"
    linux = vendor_site("snpe", TARGETS["linux-aarch64"], sdk)
    assert linux.files["libSNPE.so"].parent.name == "aarch64-ubuntu-gcc9.4"
    with pytest.raises(UsageError, match=r"no lib/x86_64-linux-clang/libSNPE\.so in it"):
        vendor_site("snpe", TARGETS["linux-x86_64"], sdk)
    with pytest.raises(UsageError, match="SNPE has no libraries for linux-armv7"):
        vendor_site("snpe", TARGETS["linux-armv7"], sdk)


def test_what_is_brought_is_found_by_option_then_by_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = ("SNPE_ROOT", "QNN_SDK_ROOT")
    for name in (*variables, "EDGEFLOW_RUNTIME_DIR_SNPE"):
        monkeypatch.delenv(name, raising=False)
    assert brought("snpe", (), variables) is None
    for name in ("QNN_SDK_ROOT", "SNPE_ROOT", "EDGEFLOW_RUNTIME_DIR_SNPE"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
        found = brought("snpe", (), variables)
        assert found is not None and (found.place, found.origin) == (str(tmp_path / name), name)
    found = brought("snpe", [f"snpe={tmp_path}"], variables)
    assert found is not None and (found.place, found.origin) == (str(tmp_path), "--runtime-dir")
    with pytest.raises(UsageError, match=r"--runtime-dir: .*nowhere: no such folder or archive"):
        brought("snpe", [f"snpe={tmp_path}/nowhere"], variables)
    (tmp_path / "text").write_text("text")
    with pytest.raises(UsageError, match=r"--runtime-dir: .*text: no archive"):
        brought("snpe", [f"snpe={tmp_path}/text"], variables)
    with pytest.raises(UsageError, match="expected NAME=DIR"):
        brought("snpe", ["snpe"])


def test_an_archive_is_unpacked_and_an_address_is_fetched_once(tmp_path: Path) -> None:
    store = BuildStore(tmp_path / "store")
    source = archive(tmp_path / "lite", elf(X86_64, "libc.so.6"))
    packed = tmp_path / "lite.tar.gz"
    with tarfile.open(packed, "w:gz") as written:
        written.add(source, "lite")
    own = brought("paddlelite", [f"paddlelite={packed}"])
    assert own is not None and own.find(store, Silent()) == own.folder(store, Silent())
    assert (own.folder(store, Silent()) / "lite/cxx/lib" / LIBRARY).is_file()
    address = brought("paddlelite", [f"paddlelite=file://{packed}"])
    assert address is not None and address.is_address and address.find(store, Silent()) is None
    folder = address.folder(store, Silent())
    packed.unlink()
    assert address.find(store, Silent()) == address.folder(store, Silent()) == folder
    gone = brought("paddlelite", [f"paddlelite=file://{tmp_path}/gone.tar.gz"])
    assert gone is not None
    with pytest.raises(ToolMissingError, match=r"--runtime-dir: file://.*gone\.tar\.gz cannot be fetched"):
        gone.folder(store, Silent())


def test_what_a_user_brings_is_offered_and_never_bundled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SNPE_ROOT", "QAIRT_SDK_ROOT", "QNN_SDK_ROOT", "EDGEFLOW_RUNTIME_DIR_SNPE"):
        monkeypatch.delenv(name, raising=False)
    target = TARGETS["linux-aarch64"]
    assert "snpe" not in offered(target) and "SNPE_ROOT" in how_to_get("snpe", target)
    monkeypatch.setenv("SNPE_ROOT", str(tmp_path / "stale"))
    assert "snpe" not in offered(target)  # nor does it disturb other runtimes
    with pytest.raises(EdgeflowError, match=r"SNPE_ROOT: .*stale: no such folder"):
        how_to_get("snpe", target)
    monkeypatch.setenv("SNPE_ROOT", str(tmp_path))
    assert "snpe" in offered(target) and "snpe" not in published(target)
    assert "paddlelite" in offered(target, [f"paddlelite={tmp_path}"]) and "paddlelite" not in offered(target)
