"""What of a vendor's archive or SDK, that the user brings, goes to a device: Paddle Lite's and Qualcomm's."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edgeflow.errors import UsageError
from edgeflow.toolchain.elf import Elf, read_elf
from edgeflow.toolchain.targets import HOST

if TYPE_CHECKING:
    from edgeflow.toolchain.targets import Target

_PADDLE = "libpaddle_light_api_shared.so"
_PADDLE_HEADER = "paddle_api.h"
_SNPE = "libSNPE.so"

_OF_GLIBC = re.compile(r"lib(c|m|dl|pthread|rt|gcc_s|stdc\+\+)\.so\.\d+|ld-linux.*\.so\.\d+")
_OF_COMPILER = ("libgomp.so.1", "libatomic.so.1")  # which the target's g++ brings
_NDK_RUNTIME = "libc++_shared.so"

_SNPE_FOLDERS: Mapping[str, tuple[str, ...]] = {  # in the SDK's lib/, the best first
    "android-arm64": ("aarch64-android",),
    "linux-aarch64": ("aarch64-ubuntu-*", "aarch64-oe-linux-*"),
    "linux-x86_64": ("x86_64-linux-clang",),
}
_SNPE_FILES = ("libSnpe*.so", "libcalculator*.so", "libhta*.so", "libc++*.so*")


@dataclass(frozen=True, slots=True)
class VendorSite:
    """Files by their names on the device; what is compiled against; what else CMake is told."""

    version: str
    files: Mapping[str, Path]
    more: Mapping[str, str] = field(default_factory=dict)
    library: Path | None = None
    headers: Path | None = None

    @property
    def definitions(self) -> dict[str, str]:
        """CMake's. Their folders make no difference to what is built."""
        places = {"EDGEFLOW_RUNTIME_LIBRARY": self.library, "EDGEFLOW_RUNTIME_HEADERS": self.headers}
        return {**self.more, **{name: str(path) for name, path in places.items() if path is not None}}

    def digest(self) -> list[tuple[str, str]]:
        """Names the contents of all that the worker is made of."""
        named = dict(self.files)
        if self.headers is not None:
            named |= {f"include/{path.name}": path for path in self.headers.glob("*.h")}
        return [(name, _sha256(path)) for name, path in sorted(named.items())]


def vendor_site(runtime: str, target: Target, folder: Path) -> VendorSite:
    """What the folder has of a runtime of LAYOUTS for the target. Raises UsageError: what it lacks."""
    return LAYOUTS[runtime](target, folder)


def _paddlelite(target: Target, folder: Path) -> VendorSite:
    """A release archive: cxx/lib and cxx/include, alone or in the archive's own folder."""
    places = ("cxx/lib", "*/cxx/lib", "*/*/cxx/lib", "lib", "*/lib")
    library = _first(path for place in places for path in sorted(folder.glob(f"{place}/{_PADDLE}")))
    archive = "a release archive of Paddle Lite (inference_lite_lib.…), or its folder"
    if library is None:
        raise UsageError(f"{folder}: no cxx/lib/{_PADDLE} in it", hint=f"name {archive}")
    headers = library.parent.parent / "include"
    if not (headers / _PADDLE_HEADER).is_file():
        raise UsageError(f"{folder}: no cxx/include/{_PADDLE_HEADER} in it", hint=f"name {archive}")
    elf = _fitting(library, target, "paddlelite")
    files, outside = _with_needed(library, elf)
    more = _from_compiler(library, target, outside)
    return VendorSite(_version(folder, library), files, more, library, headers)


def _snpe(target: Target, folder: Path) -> VendorSite:
    """An SDK: lib/<system> with libSNPE.so, lib/hexagon-v<NN>/unsigned with what the DSP loads."""
    names = _SNPE_FOLDERS.get(_system(target), ())
    places = [path for name in names for path in sorted(folder.glob(f"lib/{name}"), reverse=True)]
    place = _first(path for path in places if (path / _SNPE).is_file())
    if place is None:
        looked = " or ".join(f"lib/{name}/{_SNPE}" for name in names)
        raise UsageError(
            f"{folder}: no {looked} in it" if names else f"SNPE has no libraries for {target.name}",
            hint="name the folder of Qualcomm's SDK (SNPE or QAIRT): the one with bin, include and lib",
        )
    elf = _fitting(place / _SNPE, target, "snpe")
    chosen = [place / _SNPE, *(path for pattern in _SNPE_FILES for path in sorted(place.glob(pattern)))]
    chosen += sorted(folder.glob("lib/hexagon-v*/unsigned/libSnpe*.so"))
    inside = {path.name for path in chosen}
    outside = [name for name in elf.needed if name not in inside]
    more = _from_compiler(place / _SNPE, target, outside)
    return VendorSite(_version(folder, place / _SNPE), {path.name: path for path in chosen}, more)


LAYOUTS: Mapping[str, Callable[[Target, Path], VendorSite]] = {"paddlelite": _paddlelite, "snpe": _snpe}
"""The runtimes whose libraries a user can bring."""


def _fitting(library: Path, target: Target, runtime: str) -> Elf:
    """Raises UsageError where the library is for another processor or another C library than the target."""
    elf = read_elf(library)
    machine = {"arm64": "aarch64"}.get(target.machine, target.machine)
    if elf.machine != machine:
        raise UsageError(
            f"{library}: for {elf.machine}, but {target.name} is {machine}",
            hint=f"name what your vendor has of {runtime} for {machine}",
        )
    if elf.is_android and not target.needs_ndk:
        raise UsageError(
            f"{library}: of Android's C library; a program of {target.name} has Linux's and cannot load it",
            hint="build for android-arm64 with an NDK (ANDROID_NDK_HOME), or bring the library for ARM Linux",
        )
    if target.needs_ndk and not elf.is_android:
        raise UsageError(
            f"{library}: of Linux's C library, but {target.name} is built for Android's",
            hint=f"bring the library for Android, or build for {target.name}-static",
        )
    return elf


def _with_needed(library: Path, elf: Elf) -> tuple[dict[str, Path], list[str]]:
    """The library and what it needs of what lies beside it, by name; and what else it needs."""
    files = {elf.soname or library.name: library}
    outside: list[str] = []
    waiting = list(elf.needed)
    while waiting:
        name = waiting.pop()
        if name in files or name in outside:
            continue
        beside = library.parent / name
        if beside.is_file():
            files[name] = beside
            waiting += read_elf(beside).needed
        else:
            outside.append(name)
    return files, outside


def _from_compiler(library: Path, target: Target, outside: Iterable[str]) -> dict[str, str]:
    """CMake's definitions for what the compiler brings. Raises UsageError for what nothing brings."""
    names = set(outside)
    if target.system == HOST:
        return {}  # this system's own are used
    if target.needs_ndk:
        return {"ANDROID_STL": "c++_shared"} if _NDK_RUNTIME in names else {}
    more = sorted(names.intersection(_OF_COMPILER))
    missing = sorted(name for name in names.difference(more) if not _OF_GLIBC.fullmatch(name))
    if missing:
        raise UsageError(
            f"{library}: needs {', '.join(missing)}, not beside it and not of the compiler",
            hint="put it into the same folder",
        )
    return {"EDGEFLOW_BUNDLE_MORE": ";".join(more)} if more else {}


def _system(target: Target) -> str:
    """The target whose libraries are its own."""
    if target.system == HOST:
        return f"linux-{target.machine}" if target.code.startswith("linux") else target.code
    return target.code_name


def _version(folder: Path, library: Path) -> str:
    """As the folder is called (qairt/2.22.6.240515), else one that names the library's content."""
    found = re.search(r"\d+\.\d+(\.\d+)*", folder.name)
    return found.group() if found else f"own-{_sha256(library)[:8]}"


def _first(paths: Iterable[Path]) -> Path | None:
    return next(iter(paths), None)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
