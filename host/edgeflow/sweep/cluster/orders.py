"""What home sends to a lab host. Answers are plain values, which any version of edgeflow can read."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgeflow.deploy.held import Prepared

if TYPE_CHECKING:
    from edgeflow.deploy.request import DeployRequest


@dataclass(frozen=True, slots=True)
class Measure:
    """A job. `parcel` and `files` are SHA-256s: the lab host says which of them it lacks."""

    request: DeployRequest
    parcel: str
    files: tuple[str, ...]
    topic: str  # of Dask's events, for progress

    @property
    def device(self) -> str:
        return self.request.device


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of a file that the lab host lacks, in order; the one that completes it has it checked."""

    device: str
    sha256: str
    offset: int
    total: int
    data: bytes


@dataclass(frozen=True, slots=True)
class AskTemperature:
    device: str


@dataclass(frozen=True, slots=True)
class LetGo:
    """The sweep has no more jobs for the device."""

    device: str


Order = Measure | Piece | AskTemperature | LetGo


@dataclass(frozen=True, slots=True)
class Parcel:
    """All that a lab host needs of one product, by content. `files`: SHA-256 -> where it lies at home."""

    sha256: str
    files: Mapping[str, Path]


def pack(prepared: Prepared, folder: Path) -> Parcel:
    """Writes what is not a file yet (inputs, reference, recipe, mapping of tensors) into `folder`."""
    model = replace(prepared.model, source_bytes=prepared.model.size_bytes)
    data = pickle.dumps(replace(prepared, model=model), protocol=5)
    sha256 = hashlib.sha256(data).hexdigest()
    path = folder / sha256
    path.write_bytes(data)
    artifact = prepared.artifact
    products = {digest: artifact.path / artifact.files[role] for role, digest in artifact.sha256.items()}
    return Parcel(sha256, {sha256: path, **products})


def unpack(path: Path, files: Path) -> Prepared:
    """What `pack` wrote, with the artifact's files where they lie here, named by their SHA-256."""
    prepared: Prepared = pickle.loads(path.read_bytes())
    artifact = replace(prepared.artifact, path=files, files=dict(prepared.artifact.sha256))
    return replace(prepared, artifact=artifact)
