"""The best compiler there is, or what to install."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgeflow.errors import ToolMissingError, UsageError
from edgeflow.toolchain import compilers
from edgeflow.toolchain.compilers import find_compiler, find_release_compiler
from edgeflow.toolchain.targets import TARGETS

ARM64 = TARGETS["linux-aarch64"]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of this test alone, with the basic tools, and no zig in this Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "cat"):
        (folder / name).symlink_to(next(p for d in os.defpath.split(":") if (p := Path(d, name)).exists()))
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(compilers, "find_spec", lambda name: None)
    for name in ("ANDROID_NDK_HOME", "ANDROID_NDK_ROOT"):
        monkeypatch.delenv(name, raising=False)
    return folder


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def gcc(folder: Path, *, library: str = "/usr/aarch64/lib/libc.a") -> None:
    version = "aarch64-linux-gnu-g++ (Debian 12.2.0-14) 12.2.0"
    script = f'case $1 in --version) echo "{version}";; *) echo {library};; esac'
    program(folder / "aarch64-linux-gnu-g++", script)


def zig(folder: Path) -> None:
    program(folder / compilers.ZIG_PACKAGE.replace("==", "-") / "ziglang" / "zig", "echo 0.17.1")


def test_the_cross_compiler_of_the_distribution_comes_first(path: Path, tmp_path: Path) -> None:
    gcc(path)
    zig(tmp_path / "toolchains")
    found = find_compiler(ARM64, tmp_path / "toolchains")
    assert (found.kind, found.label) == ("gcc", "aarch64-linux-gnu-g++ 12.2.0")
    assert "Debian 12.2.0-14" in found.identity
    assert find_compiler(ARM64, tmp_path / "toolchains", "zig").kind == "zig"


def test_zig_where_there_is_no_cross_compiler(path: Path, tmp_path: Path) -> None:
    zig(tmp_path / "toolchains")
    found = find_compiler(ARM64, tmp_path / "toolchains")
    assert found.label == "zig 0.17.1 (aarch64-linux-musl)"
    arguments = found.cmake_arguments(ARM64, tmp_path / "wrappers")
    (cxx,) = [word.partition("=")[2] for word in arguments if word.startswith("-DEDGEFLOW_CXX=")]
    assert os.access(cxx, os.X_OK)


def test_a_published_core_of_x86_64_is_of_zig_where_it_is_there(path: Path, tmp_path: Path) -> None:
    """glibc's is over 1 MiB. Others, and what is for this machine alone, are the best compiler's."""
    gcc(path)
    library = 'case $1 in --version) echo "g++ 12.2.0";; *) echo /usr/lib/libc.a;; esac'
    for name in ("x86_64-linux-gnu-g++", "g++"):
        program(path / name, library)
    tools, phone = tmp_path / "toolchains", TARGETS["android-x86_64-static"]
    assert find_release_compiler(phone, tools).kind == "gcc"
    zig(tools)
    kinds = {
        name: find_release_compiler(TARGETS[name], tools).kind
        for name in ("host", "linux-x86_64", phone.name)
    }
    assert kinds == {"host": "gcc", "linux-x86_64": "zig", phone.name: "zig"}
    assert find_release_compiler(ARM64, tools).kind == "gcc"
    assert find_compiler(TARGETS["linux-x86_64"], tools).kind == "gcc"


def test_a_cross_compiler_without_the_targets_c_library_is_none(path: Path, tmp_path: Path) -> None:
    """As Fedora packages it, for kernels alone."""
    gcc(path, library="libc.a")
    with pytest.raises(ToolMissingError):
        find_compiler(ARM64, tmp_path)


def test_without_a_compiler_the_error_says_what_to_install(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ToolMissingError, match="linux-aarch64: no compiler") as caught:
        find_compiler(ARM64, tmp_path)
    assert "edgeflow toolchain install --target linux-aarch64" in caught.value.hint
    assert "g++-aarch64-linux-gnu" in caught.value.hint
    assert caught.value.exit_code == 6
    with pytest.raises(ToolMissingError) as of_phone:
        find_compiler(TARGETS["android-arm64"], tmp_path)
    assert "ANDROID_NDK_HOME" in of_phone.value.hint and "android-arm64-static" in of_phone.value.hint


def test_an_ndk_is_found_by_its_variable(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "ndk"
    (root / "build/cmake").mkdir(parents=True)
    (root / "build/cmake/android.toolchain.cmake").write_text("")
    (root / "source.properties").write_text("Pkg.Desc = Android NDK\nPkg.Revision = 27.2.12479018\n")
    monkeypatch.setenv("ANDROID_NDK_ROOT", str(root))
    found = find_compiler(TARGETS["android-arm64"], tmp_path)
    assert (found.kind, found.label) == ("ndk", "Android NDK 27.2.12479018")
    monkeypatch.setenv("ANDROID_NDK_HOME", str(tmp_path))
    with pytest.raises(ToolMissingError, match="is no Android NDK"):
        find_compiler(TARGETS["android-arm64"], tmp_path)


def test_an_unknown_kind_is_named(path: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown compiler 'msvc'"):
        find_compiler(ARM64, tmp_path, "msvc")
