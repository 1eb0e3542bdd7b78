"""What the user brings for a runtime: a folder, an archive of one, or the address of an archive."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeflow.errors import ToolMissingError, UsageError
from edgeflow.toolchain.store import BuildStore, key_of

if TYPE_CHECKING:
    from edgeflow.progress import Progress

OVERRIDE = "EDGEFLOW_RUNTIME_DIR_"
"""EDGEFLOW_RUNTIME_DIR_NCNN=PLACE: a runtime from what the user brings instead of a package."""

_ADDRESSES = ("https://", "http://", "file://")
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Brought:
    """A place that the user names. `origin`: by what, for messages."""

    place: str
    origin: str

    @property
    def is_address(self) -> bool:
        """Whether it has to be fetched first."""
        return self.place.startswith(_ADDRESSES)

    def find(self, store: BuildStore, progress: Progress) -> Path | None:
        """The folder, if nothing has to be fetched for it. Raises UsageError."""
        if self.is_address:
            return store.find("brought", self._address_key())
        return self.folder(store, progress)

    def folder(self, store: BuildStore, progress: Progress) -> Path:
        """The folder, fetched and unpacked unless it is there. Raises UsageError, ToolMissingError."""
        if self.is_address:

            def fetch(folder: Path, scratch: Path) -> None:
                _unpack(self._download(scratch, progress), folder, self.origin)

            what = f"fetching {self.place}"
            return store.entry("brought", self._address_key(), fetch, what, progress)
        place = Path(self.place)
        if place.is_dir():
            return place

        def unpack(folder: Path, scratch: Path) -> None:
            del scratch
            progress.step(f"unpack {place.name}")
            _unpack(place, folder, self.origin)

        with place.open("rb") as stream:
            key = key_of("archive/1", hashlib.file_digest(stream, "sha256").hexdigest())
        return store.entry("brought", key, unpack, f"unpacking {place.name}", progress)

    def _address_key(self) -> str:
        return key_of("address/1", self.place)

    def _download(self, scratch: Path, progress: Progress) -> Path:
        progress.step(f"fetch {self.place}")
        archive = scratch / "archive"
        try:
            with (
                urllib.request.urlopen(self.place, timeout=_TIMEOUT_S) as answer,
                archive.open("wb") as file,
            ):
                shutil.copyfileobj(answer, file, 1 << 20)
        except (OSError, ValueError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise ToolMissingError(
                f"{self.origin}: {self.place} cannot be fetched: {reason}",
                hint="check the address and the network, or fetch it yourself and name the file",
            ) from error
        return archive


def brought(name: str, given: Sequence[str] = (), variables: Sequence[str] = ()) -> Brought | None:
    """What the user brings for a runtime: `NAME=PLACE` of --runtime-dir, else what the environment names.

    `variables` are those that its vendor uses. Raises UsageError for a place that is not there.
    """
    named = dict(pair_of(text) for text in given).get(name)
    if named:
        return _existing(named, "--runtime-dir")
    for variable in (OVERRIDE + name.upper(), *variables):
        if chosen := os.environ.get(variable):
            return _existing(chosen, variable)
    return None


def pair_of(text: str) -> tuple[str, str]:
    """NAME=PLACE as its two parts. Raises UsageError."""
    name, equals, place = text.partition("=")
    if not equals or not place:
        raise UsageError(f"--runtime-dir {text}: expected NAME=DIR, NAME=ARCHIVE or NAME=URL")
    return name, place


def _existing(place: str, origin: str) -> Brought:
    if place.startswith(_ADDRESSES):
        return Brought(place, origin)
    path = Path(place).expanduser().absolute()
    if path.is_dir() or (path.is_file() and (tarfile.is_tarfile(path) or zipfile.is_zipfile(path))):
        return Brought(str(path), origin)
    what = "no archive (.tar.gz, .zip) and no folder" if path.exists() else "no such folder or archive"
    raise UsageError(f"{origin}: {path}: {what}")


def _unpack(archive: Path, folder: Path, origin: str) -> None:
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                opened.extractall(folder)
            return
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise UsageError(f"{origin}: {archive.name}: no archive that can be unpacked: {error}") from error
