"""Python packages that a conversion needs and edgeflow does not install with itself: fetched when first used.

Each set is a folder of its own below the tools folder, pinned package by package, so that nothing of it can
change the environment that edgeflow runs in; a subprocess gets the folder on its PYTHONPATH. Requirements
are listed in full and never resolved: what is not listed (OpenVINO's and NNCF's telemetry) is not fetched.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from edgeflow_converters import tool
from edgeflow_converters.base import ProgressFn, ToolStatus
from edgeflow_converters.errors import CacheUnwritable, ConverterFailed, ToolMissing

_FETCH_TIMEOUT_S = 900.0


@dataclass(frozen=True, slots=True)
class PackageSet:
    """Pinned packages, the file that is there once they are whole, and what fetching them costs."""

    name: str
    version: str
    requirements: tuple[str, ...]
    marker: str
    download_mb: int
    disk_mb: int

    def folder(self, tools_root: Path) -> Path:
        return tools_root / f"{self.name}-{self.version}"

    def fetch_command(self, folder: Path) -> list[str]:
        return [
            sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-deps",
            "--no-compile", "--only-binary", ":all:", "--target", str(folder), *self.requirements,
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
                raise ToolMissing(
                    f"{self.name} {self.version} could not be fetched for {platform.system()} "
                    f"{platform.machine()}, Python {platform.python_version()}: "
                    f"{index_reason(error.message, error.log)}",
                    hint=f"check the network, or run: {' '.join(self.fetch_command(folder))}",
                    log=error.log,
                ) from error

        fill_once(folder, folder / self.marker, fill)
        return folder


def index_reason(reason: str, log: str) -> str:
    """Why pip fetched nothing: its last line blames the package where the network is what failed."""
    offline = any(word in log.lower() for word in ("connection", "retrying", "resolve", "timed out", "proxy"))
    return "the package index cannot be reached" if offline else reason


def fill_once(folder: Path, marker: Path, fill: Callable[[Path], None]) -> None:
    """Make `folder` by `fill`, which gets an empty one beside it; `marker` is what tells a whole one.

    Safe for two processes at once: each fills a folder of its own and the first rename wins. Raises
    CacheUnwritable if the place cannot be written, and what `fill` raises.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise CacheUnwritable(f"cannot write the tools folder {folder.parent}: {error.strerror}") from error
    try:
        product = staging / "product"
        product.mkdir()
        fill(product)
        if folder.is_dir() and not marker.exists():  # a damaged one
            shutil.rmtree(folder, ignore_errors=True)
        try:
            product.rename(folder)
        except OSError:
            if not marker.exists():  # not the other process's finished copy
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


MNN = PackageSet("mnn", "3.6.1", ("MNN==3.6.1",), "MNN/__init__.py", 18, 58)
OPENVINO = PackageSet("openvino", "2026.4.1", ("openvino==2026.4.1",), "openvino/__init__.py", 59, 185)
NNCF = PackageSet(
    "nncf",
    "3.4.0",
    (
        "nncf==3.4.0", "networkx==3.6.1", "numpy==2.4.6", "psutil==7.2.2", "safetensors==0.8.0",
        "scipy==1.17.1", "tabulate==0.10.0",
    ),
    "nncf/__init__.py",
    60,
    170,
)  # fmt: skip
"""Without what NNCF needs for PyTorch, for drawing graphs and for telling its maker of its use."""

RUNTIME_PINS: Mapping[str, str] = MappingProxyType(
    {"mnn": MNN.version, "openvino": OPENVINO.version, "snpe": "2.7.0"}
)
"""Runtime -> the version that verifies its artifacts, for those that come from here or from a lock (snpe: of
onnxruntime-qnn)."""


def python_path(folders: Sequence[Path]) -> dict[str, str]:
    """The environment of a subprocess that imports from `folders` first."""
    given = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": os.pathsep.join([*map(str, folders), *([given] if given else [])])}
