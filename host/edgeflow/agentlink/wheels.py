"""A runtime as wheels for another machine: fetched by the host's own pip, kept by content in the cache.

pip checks each file against what its index tells; the runtimes of the versions that edgeflow pins are checked
against the hashes that it brings along too (locks/packages of the converters).
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING

from edgeflow.errors import DeviceError, ToolMissingError, UsageError
from edgeflow_agent.backends.base import REGISTRY
from edgeflow_agent.sites import MANIFEST, key_of

if TYPE_CHECKING:
    from edgeflow.progress import Progress
    from edgeflow.types import DeviceFacts
    from edgeflow.workspace import Workspace

_TIMEOUT_S = 900.0
_OLDEST_GLIBC = {"x86_64": 5, "aarch64": 17}
"""Machine -> minor version of the oldest glibc 2 that wheels are made for (PEP 600)."""
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_NOT_FOR_MUSL = ("mnn", "onnxruntime", "openvino", "paddlelite", "snpe")
_FOR_X86_ONLY = ("paddlelite", "snpe")
_BESIDE = {"paddlelite": ("numpy<2",)}
"""Runtime -> what it needs and its wheel does not say."""
_OLDEST_OF = {"snpe": ((3, 11), (2, 35))}
"""Runtime -> the oldest Python and glibc that its wheels are for, where others have older ones."""
_UNREACHED = ("after connection broken", "could not fetch url", "connection error", "ssl certificate")
"""What pip says of an index that it cannot reach, before it says that it found nothing there."""


@dataclass(frozen=True, slots=True)
class WheelPlatform:
    """What wheels must be for: a Python ("3.11") and platform tags, the best first (PEP 425, 600, 656)."""

    python: str
    tags: tuple[str, ...]
    label: str

    @property
    def python_tag(self) -> str:
        return "cp" + self.python.replace(".", "")


@dataclass(frozen=True, slots=True)
class WheelSet:
    """A runtime and all that it requires, as files: SHA-256 -> wheel."""

    runtime: str
    version: str
    files: Mapping[str, Path]

    @property
    def site(self) -> str:
        """The name of the folder in which an agent unpacks exactly these."""
        return key_of(list(self.files))

    @property
    def size_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.files.values())

    @property
    def unpacked_bytes(self) -> int:
        members = (zipfile.ZipFile(path).infolist() for path in self.files.values())
        return sum(member.file_size for infos in members for member in infos)


def host_version(runtime: str) -> str | None:
    """The version of the runtime that verifies artifacts here: the one that the converters fetch, else this
    Python's; None without."""
    from edgeflow_converters.locks import load_locks
    from edgeflow_converters.packages import RUNTIME_PINS

    if runtime in RUNTIME_PINS:
        return RUNTIME_PINS[runtime]
    locks = load_locks()
    if runtime in locks:
        return locks[runtime].version
    package = REGISTRY[runtime].package
    try:
        return None if package is None else installed_version(package)
    except PackageNotFoundError:
        return None


def platform_for(device: str, runtime: str, facts: DeviceFacts) -> WheelPlatform:
    """The platform whose wheels run on the device. Raises DeviceError that names why there are none."""
    where = f"{device}: {runtime} is not installed there, and there are no wheels to bring"
    own = f"install {runtime} on {device} by its own means, or use another device"
    if facts.os != "linux" or facts.python_version is None:
        raise DeviceError(f"{where}: it is {facts.os}, edgeflow brings wheels to Linux only", hint=own)
    machine = _machine_of(facts)
    if machine not in _OLDEST_GLIBC:
        raise DeviceError(f"{where}: numpy, which it needs, is not published for {machine} Linux", hint=own)
    if facts.libc == "musl" and runtime in _NOT_FOR_MUSL:
        raise DeviceError(f"{where}: it is not published for musl, the libc of {facts.os_version}", hint=own)
    if machine != "x86_64" and runtime in _FOR_X86_ONLY:
        raise DeviceError(f"{where}: it is published for x86-64 alone, this is {machine}", hint=own)
    python = ".".join(facts.python_version.split(".")[:2])
    pythons = _pythons_of(runtime)
    if pythons and python not in pythons:
        raise DeviceError(
            f"{where}: its Python is {python}, and they are for {', '.join(pythons[:-1])} and {pythons[-1]}",
            hint=f"set `python:` of {device} in devices.yaml to one of those, or use --agent native",
        )
    match = re.match(r"(\d+)\.(\d+)", facts.libc_version or "")
    if match is None or facts.libc not in ("glibc", "musl"):
        raise DeviceError(f"{where}: it does not tell which libc it has", hint=own)
    major, minor = int(match[1]), int(match[2])
    if runtime in _OLDEST_OF:
        oldest_python, oldest_libc = _OLDEST_OF[runtime]
        if tuple(map(int, python.split("."))) < oldest_python or (major, minor) < oldest_libc:
            needed = "Python {}.{} and glibc {}.{}".format(*oldest_python, *oldest_libc)
            raise DeviceError(
                f"{where}: they need {needed}, it has Python {python} and glibc {major}.{minor}", hint=own
            )
    tags: list[str] = []
    if facts.libc == "musl":
        tags += [f"musllinux_{major}_{number}_{machine}" for number in range(minor, -1, -1)]
    for number in range(minor, _OLDEST_GLIBC[machine] - 1, -1) if facts.libc == "glibc" else ():
        tags.append(f"manylinux_{major}_{number}_{machine}")
        if number in _LEGACY:
            tags.append(f"{_LEGACY[number]}_{machine}")
    return WheelPlatform(python, tuple(tags), f"Python {python}, {facts.libc} {major}.{minor}, {machine}")


def fetch(
    runtime: str, platform: WheelPlatform, device: str, workspace: Workspace, progress: Progress
) -> WheelSet:
    """The wheels of a runtime for a platform: of the host's own version, else the newest there is (and a note
    says which); from the cache where they are.

    pip resolves requirements by the environment markers of this host's Python: a package that only another
    version of Python needs is not fetched, and the worker's import then names it.

    Raises DeviceError when no version is published for the platform, ToolMissingError when the index cannot
    be reached, UsageError when the cache cannot be written.
    """
    from edgeflow_converters.cache import Cache
    from edgeflow_converters.errors import CacheUnwritable

    package, wanted = str(REGISTRY[runtime].package), host_version(runtime)
    what = json.dumps(["wheels/2", package, wanted, _BESIDE.get(runtime, ()), platform.python, platform.tags])
    key = hashlib.sha256(what.encode()).hexdigest()
    cache = Cache(workspace.cache_dir)
    try:
        folder = cache.find("wheels", key)
        if folder is None:
            progress.step(f"fetch {runtime} {wanted or ''} for {device} ({platform.label})")
            folder = cache.build(
                "wheels", key, lambda work: _download(runtime, wanted, platform, device, work)
            )
    except CacheUnwritable as error:
        raise UsageError(error.message, hint=error.hint) from error
    found = _wheel_set(runtime, package, folder)
    if wanted is not None and found.version != wanted:
        progress.note(
            f"{device}: {runtime} {wanted}, this host's, has no wheel for {platform.label}: "
            f"it gets {found.version}"
        )
    return found


def manifest_of(site: str) -> str:
    """The file, below the work folder, that is there once the site is whole."""
    return f"site/{site}/{MANIFEST}"


def _pythons_of(runtime: str) -> list[str]:
    """The Pythons that the runtime has wheels for, where there are only a few."""
    from edgeflow_converters.locks import load_locks

    lock = load_locks().get(runtime)
    return [] if lock is None else sorted(lock.python, key=lambda version: int(version.split(".")[1]))


def _machine_of(facts: DeviceFacts) -> str:
    """The machine that the device's programs are built for: a 64-bit kernel may run a 32-bit system."""
    if facts.abis and facts.abis[0] in ("armeabi-v7a", "armeabi", "x86"):
        return {"armeabi-v7a": "armv7l", "armeabi": "armv6l", "x86": "i686"}[facts.abis[0]]
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(facts.arch, facts.arch)


def _wheel_set(runtime: str, package: str, folder: Path) -> WheelSet:
    files = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in sorted(folder.glob("*.whl"))}
    # NAME-VERSION-…, in the spelling of PEP 427 but for its case: MNN comes as mnn.
    prefix = f"{package}-".lower()
    (version,) = {path.name.split("-")[1] for path in files.values() if path.name.lower().startswith(prefix)}
    return WheelSet(runtime, version, files)


def _download(runtime: str, wanted: str | None, platform: WheelPlatform, device: str, folder: Path) -> None:
    package = str(REGISTRY[runtime].package)
    pinned = f"{package}=={wanted}" if wanted else package
    beside = _BESIDE.get(runtime, ())
    code, log = _pip([pinned, *beside], platform, folder)
    if code != 0 and wanted and _is_unpublished(log):
        code, log = _pip([package, *beside], platform, folder)
    if code == 0:
        _require_pinned(folder, device)
        return
    if _is_unpublished(log):
        missing = re.findall(r"No matching distribution found for (\S+)", log) or [package]
        raise DeviceError(
            f"{device}: {package} cannot be brought there: no wheel of {missing[-1]} for {platform.label}",
            hint=f"install {package} on {device} by its own means, or give it a newer Python",
            detail=log,
        )
    lines = [line for line in log.splitlines() if line.strip()] or ["pip said nothing"]
    raise ToolMissingError(
        f"{package} for {device} ({platform.label}) cannot be fetched: {lines[-1]}",
        hint="check the network and the index that pip is configured to use, then try again",
        detail=log,
    )


def _require_pinned(folder: Path, device: str) -> None:
    """That no wheel of a pinned version is another file than was published. Raises ToolMissingError."""
    from edgeflow_converters.packages import pinned_hashes

    pinned = pinned_hashes()
    for path in sorted(folder.glob("*.whl")):
        package, version = path.name.lower().split("-")[:2]
        known = pinned.get((package, version))
        if known is not None and hashlib.sha256(path.read_bytes()).hexdigest() not in known:
            raise ToolMissingError(
                f"{path.name} for {device} is not the file that was pinned: its SHA-256 is another one. "
                "Nothing was pushed",
                hint="look at the index that pip is configured to use: who put that file there?",
            )


def _pip(requirements: Sequence[str], platform: WheelPlatform, folder: Path) -> tuple[int, str]:
    from edgeflow_converters import tool
    from edgeflow_converters.errors import ConvertError

    argv = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input"]
    argv += ["--progress-bar", "off", "--retries", "2", "--only-binary", ":all:", "--dest", str(folder)]
    argv += ["--python-version", platform.python, "--implementation", "cp"]
    for abi in (platform.python_tag, "abi3", "none"):
        argv += ["--abi", abi]
    for tag in platform.tags:
        argv += ["--platform", tag]
    # pip's log and temporary files stay out of the folder that becomes the cache's entry.
    scratch = folder.parent / "pip"
    scratch.mkdir(exist_ok=True)
    try:
        finished = tool.run(
            [*argv, *requirements],
            name="pip",
            cwd=scratch,
            timeout_s=_TIMEOUT_S,
            env={"PIP_REQUIRE_VIRTUALENV": "0"},
        )
    except ConvertError as error:
        hint = "check the network, and whether this Python has pip"
        raise ToolMissingError(error.message, hint=hint, detail=error.log) from error
    return finished.returncode, finished.log


def _is_unpublished(log: str) -> bool:
    """Whether pip reached its index and found nothing that fits: also an unreachable index offers nothing."""
    low = log.lower()
    return "no matching distribution found" in low and not any(word in low for word in _UNREACHED)
