"""The compiler for a target: the Android NDK, Debian's cross g++, this machine's own, or zig from PyPI."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from edgeflow import resources
from edgeflow.errors import ToolMissingError, UsageError
from edgeflow.toolchain.processes import ask
from edgeflow.toolchain.targets import HOST, Target, host_is

ZIG_PACKAGE = "ziglang==0.17.1"
KINDS = ("auto", "ndk", "gcc", "zig")

_PACKAGES = {  # Debian's and Ubuntu's name for what makes the target's programs
    "aarch64": "g++-aarch64-linux-gnu",
    "armv7l": "g++-arm-linux-gnueabihf",
    "x86_64": "g++",
}
_ZIG_TOOLS = ("cc", "c++", "ar", "ranlib")


@dataclass(frozen=True, slots=True)
class Compiler:
    """What compiles for one target. `identity` is its exact version: another one makes another program."""

    kind: str  # "ndk" | "gcc" | "zig"
    label: str  # for people: "aarch64-linux-gnu-g++ 12.2.0"
    identity: str
    program: Path
    definitions: Mapping[str, str] = field(default_factory=dict)

    def cmake_arguments(self, target: Target, folder: Path) -> list[str]:
        """The toolchain file and what it needs; wrappers around zig are written to `folder`."""
        definitions = dict(self.definitions)
        if self.kind == "zig":
            tools = _write_zig_tools(self.program, target, folder)
            definitions |= {
                "EDGEFLOW_CC": tools["cc"],
                "EDGEFLOW_CXX": tools["c++"],
                "CMAKE_AR": tools["ar"],
                "CMAKE_RANLIB": tools["ranlib"],
            }
        file = resources.toolchains() / "cmake" / f"{target.name}.cmake"
        return [f"-DCMAKE_TOOLCHAIN_FILE={file}", *(f"-D{key}={value}" for key, value in definitions.items())]


def find_compiler(target: Target, folder: Path, wanted: str = "auto") -> Compiler:
    """The best compiler there is for the target, or the `wanted` kind. `folder`: where edgeflow keeps zig.

    Raises ToolMissingError with what to install, UsageError for a kind that there is not.
    """
    if wanted not in KINDS:
        raise UsageError(f"unknown compiler '{wanted}'", hint=f"use one of: {', '.join(KINDS)}")
    finders = {"ndk": _ndk, "gcc": _gcc, "zig": _zig}
    for kind in finders if wanted == "auto" else (wanted,):
        found = finders[kind](target, folder)
        if found is not None:
            return found
    what = "no compiler" if wanted == "auto" else f"no {wanted}"
    raise ToolMissingError(
        f"{target.name}: {what} that can build for it is installed", hint=cure(target, wanted)
    )


def find_release_compiler(target: Target, folder: Path) -> Compiler:
    """What compiles a core that is published: for x86-64 zig, where it is there, else the best there is.

    A static core of x86-64 by g++ is larger than 1 MiB, of which glibc is two thirds; by zig, with musl, it
    has 0.7 MB. Raises ToolMissingError.
    """
    small = _zig(target, folder) if target.machine == "x86_64" and target.system != HOST else None
    return small or find_compiler(target, folder)


def cure(target: Target, wanted: str = "auto") -> str:
    """What a person does to get a compiler for the target."""
    if target.needs_ndk:
        return f"set ANDROID_NDK_HOME to an Android NDK, or build {target.name}-static, which needs none"
    ours = f"edgeflow toolchain install --target {target.name}"
    theirs = f"apt-get install {_PACKAGES.get(target.machine, 'g++')} (Debian, Ubuntu)"
    if target.system == HOST:
        return "install a C++ compiler: apt-get install g++ (Debian, Ubuntu), xcode-select --install (macOS)"
    return {"gcc": theirs, "zig": f"{ours} --compiler zig"}.get(wanted, f"{ours}, or: {theirs}")


def zig_program(folder: Path) -> Path | None:
    """The zig that is there: edgeflow's own, the package in this Python, or one on PATH."""
    own = folder / ZIG_PACKAGE.replace("==", "-") / "ziglang" / "zig"
    if own.is_file():
        return own
    spec = find_spec("ziglang")
    if (
        spec is not None
        and spec.origin is not None
        and (beside := Path(spec.origin).with_name("zig")).is_file()
    ):
        return beside
    found = shutil.which("zig")
    return None if found is None else Path(found)


def _ndk(target: Target, folder: Path) -> Compiler | None:
    del folder
    if not target.needs_ndk:
        return None
    for name in ("ANDROID_NDK_HOME", "ANDROID_NDK_ROOT"):
        root = os.environ.get(name)
        if not root:
            continue
        properties = Path(root) / "source.properties"
        if not (Path(root) / "build/cmake/android.toolchain.cmake").is_file() or not properties.is_file():
            raise ToolMissingError(f"{name}: {root} is no Android NDK", hint="set it to the folder of an NDK")
        found = dict(line.split("=", 1) for line in properties.read_text().splitlines() if "=" in line)
        revision = next((value.strip() for key, value in found.items() if key.strip() == "Pkg.Revision"), "?")
        return Compiler(
            "ndk", f"Android NDK {revision}", f"ndk {revision}", Path(root), {"EDGEFLOW_NDK": root}
        )
    return None


def _gcc(target: Target, folder: Path) -> Compiler | None:
    del folder
    if target.needs_ndk:
        return None
    names = [f"{target.gnu}-g++"] if target.gnu else []
    if host_is(target):
        names += ["g++", "clang++", "c++"]
    for name in names:
        program = shutil.which(name)
        version = None if program is None else _answer(program, "--version")
        if program is None or not version:
            continue
        # A cross compiler may have been installed without the target's C library.
        library = _answer(program, "-print-file-name=libc.a")
        if target.system != HOST and not (library and Path(library).is_absolute()):
            continue
        first, cc = version.splitlines()[0], Path(program).with_name(_c_name(name))
        definitions = {"EDGEFLOW_CC": str(cc), "EDGEFLOW_CXX": program}
        return Compiler("gcc", f"{name} {_version_word(first)}", first, Path(program), definitions)
    return None


def _zig(target: Target, folder: Path) -> Compiler | None:
    program = zig_program(folder) if target.zig else None
    version = None if program is None else _answer(str(program), "version")
    if program is None or not version:
        return None
    return Compiler("zig", f"zig {version} ({target.zig})", f"zig {version} {_driver_digest()}", program)


def _answer(program: str, word: str) -> str | None:
    """What a program says to one word; asked once in a process while it stays the same."""
    try:
        changed_ns = Path(program).stat().st_mtime_ns
    except OSError:
        return None
    return _asked(program, word, changed_ns)


@cache
def _asked(program: str, word: str, changed_ns: int) -> str | None:
    del changed_ns
    return ask([program, word])


def _c_name(name: str) -> str:
    if name.endswith("clang++"):
        return name.removesuffix("++")
    return name.removesuffix("g++") + "gcc" if name.endswith("g++") else name.replace("++", "c")


def _version_word(line: str) -> str:
    """The version in "g++ (Debian 12.2.0-14) 12.2.0"; the line itself where there is none."""
    words = [word for word in line.replace("(", " ").replace(")", " ").split() if word[:1].isdigit()]
    return words[-1] if words else line


def _driver() -> Path:
    return resources.toolchains() / "zig" / "driver.sh"


def _driver_digest() -> str:
    return hashlib.sha256(_driver().read_bytes()).hexdigest()[:8]


def _write_zig_tools(zig: Path, target: Target, folder: Path) -> dict[str, str]:
    """One small program for each tool that CMake calls by a name of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for tool in _ZIG_TOOLS:
        path = folder / f"zig-{tool}"
        words = ["sh", str(_driver()), str(zig), target.zig, tool]
        path.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        path.chmod(0o755)
        written[tool] = str(path)
    return written
