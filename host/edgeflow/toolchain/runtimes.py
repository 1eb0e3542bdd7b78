"""toolchains/runtimes.yaml: where each runtime's device library or source comes from, pinned by SHA-256."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgeflow import resources
from edgeflow.config.suggest import did_you_mean
from edgeflow.config.yaml_source import load_yaml
from edgeflow.errors import UsageError
from edgeflow.toolchain.brought import Brought, brought

if TYPE_CHECKING:
    from edgeflow.toolchain.targets import Target

FILE_NAME = "runtimes.yaml"
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
    """One runtime: what devices get, by target, and what its worker is built from.

    `bring` tells what of it a user can bring, in words; `variables` name that place in the environment.
    """

    version: str
    licence: str
    files: Mapping[str, tuple[DeviceFile, ...]] = {}
    build: tuple[BuildSource, ...] = ()
    bring: str = ""
    variables: tuple[str, ...] = ()

    def brought(self, name: str, given: Sequence[str] = ()) -> Brought | None:
        """What the user brings for it. Raises UsageError for a place that is not there."""
        return brought(name, given, self.variables)


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
