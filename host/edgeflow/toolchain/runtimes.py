"""toolchains/runtimes.yaml: where each runtime's device library or source comes from, pinned by SHA-256."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgeflow import resources
from edgeflow.config.suggest import did_you_mean
from edgeflow.config.yaml_source import load_yaml
from edgeflow.errors import UsageError

if TYPE_CHECKING:
    from edgeflow.toolchain.targets import Target

FILE_NAME = "runtimes.yaml"
OVERRIDE = "EDGEFLOW_RUNTIME_DIR_"
"""EDGEFLOW_RUNTIME_DIR_NCNN=DIR: a runtime from the user's own folder instead of a package."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
PackageText = Annotated[str, Field(pattern=r"^(pypi:[^=]+==[^=]+|npm:.+@[^@]+)$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _FromPackage(_Strict):
    package: PackageText
    sha256: Sha256

    @property
    def index(self) -> Literal["pypi", "npm"]:
        return "pypi" if self.package.startswith("pypi:") else "npm"

    @property
    def name(self) -> str:
        return self._parts()[0]

    @property
    def version(self) -> str:
        return self._parts()[1]

    def _parts(self) -> tuple[str, str]:
        rest = self.package.partition(":")[2]
        name, _, version = rest.rpartition("==" if self.index == "pypi" else "@")
        return name, version


class DeviceFile(_FromPackage):
    """A file that lies beside the worker on the device: `path` in the archive, `file` on the device."""

    wheel: str | None = None  # PyPI: the archive's own name, which tells its platform
    path: str
    file: str = Field(alias="name")
    role: str


class BuildSource(_FromPackage):
    """An archive that a worker is compiled from or against."""

    kind: Literal["sdist", "wheel", "npm"]
    role: str


class Runtime(_Strict):
    """One runtime: what devices get, by target, and what its worker is built from."""

    version: str
    licence: str
    files: Mapping[str, tuple[DeviceFile, ...]] = {}
    build: tuple[BuildSource, ...] = ()


def files_for(runtime: Runtime, target: Target) -> tuple[DeviceFile, ...]:
    """What lies beside the worker; programs of Android's static targets are those of Linux."""
    return runtime.files.get(target.name) or runtime.files.get(target.code_name) or ()


class _RuntimesFile(_Strict):
    runtimes: Mapping[str, Runtime]


def load_runtimes(path: Path | None = None) -> Mapping[str, Runtime]:
    """Every runtime that native workers exist for. Raises UsageError with file and line."""
    return _load(path or resources.toolchains() / FILE_NAME)


@cache
def _load(path: Path) -> Mapping[str, Runtime]:
    return load_yaml(path).validate(_RuntimesFile).runtimes


def runtime_named(name: str, runtimes: Mapping[str, Runtime]) -> Runtime:
    """Raises UsageError listing the known ones."""
    if name not in runtimes:
        raise UsageError(f"no native worker for runtime '{name}'; {did_you_mean(name, runtimes)}")
    return runtimes[name]


def user_folder(name: str, given: Sequence[str] = ()) -> Path | None:
    """The folder that the user names for a runtime: `NAME=DIR` of --runtime-dir, else the environment's.

    Raises UsageError for one that is not there.
    """
    named = dict(pair_of(text) for text in given).get(name)
    variable = OVERRIDE + name.upper()
    chosen = named or os.environ.get(variable)
    if not chosen:
        return None
    folder = Path(chosen).expanduser().absolute()
    if not folder.is_dir():
        raise UsageError(f"{'--runtime-dir' if named else variable}: {folder}: no such folder")
    return folder


def pair_of(text: str) -> tuple[str, str]:
    """NAME=DIR as its two parts. Raises UsageError."""
    name, equals, folder = text.partition("=")
    if not equals or not folder:
        raise UsageError(f"--runtime-dir {text}: expected NAME=DIR")
    return name, folder
