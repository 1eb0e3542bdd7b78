"""Python packages that a conversion needs and edgeflow does not install with itself: fetched when first used.

Each set is a folder of its own below the tools folder, pinned package by package, so that nothing of it can
change the environment that edgeflow runs in; a subprocess gets the folder on its PYTHONPATH. Requirements
are listed in full in locks/packages/NAME.txt, with the SHA-256 of every file that their makers published,
and never resolved: what is not listed (OpenVINO's and NNCF's telemetry) is not fetched, and a file that is
not what it was is refused.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from edgeflow_converters import holding, tool
from edgeflow_converters.base import ProgressFn, ToolStatus
from edgeflow_converters.cache import FULL_BELOW_BYTES, says_full, unwritable
from edgeflow_converters.errors import CacheUnwritable, ConverterFailed, ToolMissing

_FETCH_TIMEOUT_S = 900.0
_LOCKS = Path(__file__).parent / "locks" / "packages"


@dataclass(frozen=True, slots=True)
class PackageSet:
    """Pinned packages, the file that is there once they are whole, and what fetching them costs."""

    name: str
    version: str
    marker: str
    download_mb: int
    disk_mb: int
    locks: Path = _LOCKS

    @property
    def lock(self) -> Path:
        """The requirements file that pins every package of the set by hash."""
        return self.locks / f"{self.name}.txt"

    def folder(self, tools_root: Path) -> Path:
        return tools_root / f"{self.name}-{self.version}"

    def fetch_command(self, folder: Path) -> list[str]:
        return [
            sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-deps",
            "--no-compile", "--only-binary", ":all:", "--require-hashes", "--target", str(folder),
            "-r", str(self.lock),
        ]  # fmt: skip

    def status(self, tools_root: Path) -> ToolStatus:
        """Whether the set is there, without fetching it."""
        folder = self.folder(tools_root)
        if (folder / self.marker).exists():
            return ToolStatus(self.name, ready=True, version=self.version)
        return ToolStatus(
            self.name,
            ready=False,
            version=self.version,
            missing=f"{self.name} {self.version}, which the first conversion that needs it fetches "
            f"({self.download_mb} MB, {self.disk_mb} MB on disk)",
            fix=" ".join(self.fetch_command(folder)),
            on_demand=True,
        )

    def ensure(self, tools_root: Path, progress: ProgressFn) -> Path:
        """The folder with the set in it, fetched once if it is not there.

        Raises ToolMissing with the command to run by hand, CacheUnwritable if the folder cannot be written.
        """
        folder = self.folder(tools_root)
        if (folder / self.marker).exists():
            return folder
        progress(f"fetch {self.name} {self.version} ({self.download_mb} MB)")

        def fill(staging: Path) -> None:
            try:
                command = self.fetch_command(staging)
                tool.run_checked(command, name="pip", cwd=staging.parent, timeout_s=_FETCH_TIMEOUT_S)
                if not (staging / self.marker).exists():
                    raise ConverterFailed(f"the package holds no {self.marker}")
            except ConverterFailed as error:
                require_space(staging, error.log)
                tampered = _TAMPERED.search(error.log) is not None
                raise ToolMissing(
                    f"{self.name} {self.version} could not be fetched for {platform.system()} "
                    f"{platform.machine()}, Python {platform.python_version()}: "
                    f"{index_reason(error.message, error.log)}",
                    hint="look at the index that pip is configured to use: who put that file there?"
                    if tampered
                    else f"check the network, or run: {' '.join(self.fetch_command(folder))}",
                    log=error.log,
                ) from error

        fill_once(folder, folder / self.marker, fill, progress)
        return folder


def pinned_hashes() -> Mapping[tuple[str, str], frozenset[str]]:
    """(package as wheels spell it, version) -> the SHA-256 of each of its files, out of locks/packages."""
    found: dict[tuple[str, str], frozenset[str]] = {}
    entry = re.compile(r"^(\S+)==(\S+) \\\n((?:    --hash=.*\n?)+)", re.MULTILINE)
    for path in sorted(_LOCKS.glob("*.txt")):
        for package, version, hashes in entry.findall(path.read_text(encoding="utf-8")):
            known = frozenset(re.findall(r"sha256:([0-9a-f]{64})", hashes))
            found[package.lower().replace("-", "_"), version] = known
    return found


def index_reason(reason: str, log: str) -> str:
    """Why pip fetched nothing: its last line blames the package where the network is what failed."""
    changed = _TAMPERED.search(log)
    if changed:
        what = re.search(r"^ {4}(\S.*?) from ", log[changed.end() :], re.MULTILINE)
        return (
            f"what the index has of {what[1] if what else 'it'} is not what was pinned: its SHA-256 is "
            "another one. Nothing of it was installed"
        )
    offline = any(word in log.lower() for word in ("connection", "retrying", "resolve", "timed out", "proxy"))
    return "the package index cannot be reached" if offline else reason


def fill_once(folder: Path, marker: Path, fill: Callable[[Path], None], progress: ProgressFn) -> None:
    """Make `folder` by `fill`, which gets an empty one beside it; `marker` is what tells a whole one.

    Of two processes at once, one fills it and the other waits; what a killed one left is removed. Raises
    CacheUnwritable if the place cannot be written, and what `fill` raises.
    """
    lock = folder.parent / f".{folder.name}.lock"

    def waiting() -> None:
        progress(f"wait for another process that fetches {folder.name}")

    with ExitStack() as stack:
        try:
            stack.enter_context(holding.alone(lock, waiting))
            if marker.exists():  # another process was first
                return
            for left in folder.parent.glob(f"{folder.name}.*"):
                shutil.rmtree(left, ignore_errors=True)  # we hold the lock: whoever made it was killed
            staging = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
        except OSError as error:
            raise CacheUnwritable(
                f"cannot write the tools folder {folder.parent}: {error.strerror}",
                hint="make it a folder you may write to, or set EDGEFLOW_HOME",
            ) from error
        try:
            product = staging / "product"
            product.mkdir()
            fill(product)
            if folder.is_dir():  # a damaged one
                shutil.rmtree(folder, ignore_errors=True)
            product.rename(folder)
        except OSError as error:
            raise unwritable(folder.parent, error, what="tools") from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def require_space(folder: Path, log: str) -> None:
    """pip blames the package, or nothing, when the disk is full: look. Raises CacheUnwritable."""
    if shutil.disk_usage(folder).free < FULL_BELOW_BYTES or says_full(log):
        raise CacheUnwritable(
            f"no space left in the tools folder {folder.parent.parent}",
            hint="free some space, or set EDGEFLOW_HOME to a larger disk",
        )


_TAMPERED = re.compile(r"THESE PACKAGES DO NOT MATCH THE HASHES[^\n]*\n")

MNN = PackageSet("mnn", "3.6.1", "MNN/__init__.py", 18, 58)
OPENVINO = PackageSet("openvino", "2026.4.1", "openvino/__init__.py", 59, 185)
NNCF = PackageSet("nncf", "3.4.0", "nncf/__init__.py", 60, 170)
"""Without what NNCF needs for PyTorch, for drawing graphs and for telling its maker of its use."""

PNNX = PackageSet("pnnx", "20261020", "pnnx/pnnx", 30, 85)
"""Without torch (5 GB), which the wheel declares: the executable inside is self-contained."""

RUNTIME_PINS: Mapping[str, str] = MappingProxyType(
    {"mnn": MNN.version, "openvino": OPENVINO.version, "snpe": "2.7.0"}
)
"""Runtime -> the version that verifies its artifacts, for those that come from here or from a lock (snpe: of
onnxruntime-qnn)."""


def python_path(folders: Sequence[Path]) -> dict[str, str]:
    """The environment of a subprocess that imports from `folders` first."""
    given = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": os.pathsep.join([*map(str, folders), *([given] if given else [])])}
