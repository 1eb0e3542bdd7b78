"""The native agent's programs for tests: built once for the sources, kept in `.cache/tests/native`.

The environment chooses another build of the same sources, so that one suite judges them all:

EDGEFLOW_NATIVE=required     a missing compiler or cmake is a failure, not a skip
EDGEFLOW_NATIVE_CMAKE="..."  more options of cmake: a cross compiler, -DEDGEFLOW_SANITIZE=address,undefined
EDGEFLOW_NATIVE_RUNNER="..." words before the programs, such as an emulator for another processor
EDGEFLOW_NATIVE_AGENT=path   this edgeflow-agent instead of one that is built
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import edgeflow_agent

CHECKOUT = Path(__file__).resolve().parent.parent
SOURCES = CHECKOUT / "agent" / "native"
KEPT = CHECKOUT / ".cache" / "tests" / "native"
KEPT_BUILDS = 6
COMPILERS = ("c++", "g++", "clang++")


class NoToolsError(Exception):
    """The native agent cannot be built here; says what is missing."""


def required() -> bool:
    """Whether its absence is a failure."""
    return os.environ.get("EDGEFLOW_NATIVE") == "required"


def runner() -> list[str]:
    """The words before a native program's own: an emulator, or nothing."""
    return shlex.split(os.environ.get("EDGEFLOW_NATIVE_RUNNER", ""))


def sanitized() -> bool:
    """Whether the build watches itself, which takes memory and time."""
    return "EDGEFLOW_SANITIZE" in os.environ.get("EDGEFLOW_NATIVE_CMAKE", "")


def program(name: str) -> Path:
    """A program of the native agent's project. Raises NoToolsError, RuntimeError (the compiler's words)."""
    given = os.environ.get("EDGEFLOW_NATIVE_AGENT")
    if given and name == "edgeflow-agent":
        return Path(given).resolve()
    return _built() / name


def _built() -> Path:
    """The folder of a finished build of these very sources and options."""
    options = shlex.split(os.environ.get("EDGEFLOW_NATIVE_CMAKE", ""))
    key = _key(options)
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs of one checkout build it once
        folder = KEPT / key
        if not folder.is_dir():
            _build(folder, key, options)
            _forget_old(folder)
        os.utime(folder)
        return folder


def _key(options: list[str]) -> str:
    digest = hashlib.sha256("\0".join(options).encode())
    for path in sorted(SOURCES.rglob("*")):
        if path.is_file() and path.suffix in (".cc", ".h", ".txt"):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(SOURCES)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _build(folder: Path, key: str, options: list[str]) -> None:
    if shutil.which("cmake") is None:
        raise NoToolsError("no cmake on PATH")
    if not any(option.startswith("-DCMAKE_CXX_COMPILER=") for option in options) and not any(
        shutil.which(name) for name in COMPILERS
    ):
        raise NoToolsError("no C++ compiler on PATH")
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    configure = [
        "cmake", "-S", str(SOURCES), "-B", str(part), "-DEDGEFLOW_TESTS=ON",
        "-DEDGEFLOW_WHOLE=OFF", f"-DEDGEFLOW_BUILD={key}",
        f"-DEDGEFLOW_VERSION={edgeflow_agent.__version__}", "-DEDGEFLOW_FLAGS=built for tests", *options,
    ]  # fmt: skip
    try:
        _run(configure)
        _run(["cmake", "--build", str(part), "--parallel", "2"])
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{shlex.join(argv)} failed:\n{done.stdout[-4000:]}")


def _forget_old(newest: Path) -> None:
    builds = sorted(KEPT.glob("[0-9a-f]*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for build in builds[KEPT_BUILDS:]:
        if build != newest:
            shutil.rmtree(build, ignore_errors=True)
