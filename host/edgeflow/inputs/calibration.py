"""The inputs that static quantization looks at: the recipe's calibration data, else its real samples.

They take the recipe's own preprocessing, as everything else does. Random inputs never calibrate: ranges
measured on noise say nothing about pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow.config.recipe import Recipe
from edgeflow.errors import UsageError
from edgeflow.inputs.preprocess import ARRAY_SUFFIXES, load_input
from edgeflow.inputs.samples import constant, real_samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WILD = "*?["


def calibration_sets(recipe: Recipe) -> list[dict[str, NDArray[Any]]]:
    """Complete input sets for calibration, at most the recipe's limit; empty if the recipe has no real input.

    Each file of `calibration.data` is one set: a picture or a .npy where only one input needs a file (the
    others take their `value`), else a .npz with an array for each input. Raises UsageError for data that is
    missing or does not fit.
    """
    if recipe.calibration is None:
        return [dict(sample.tensors) for sample in real_samples(recipe)]
    files = _files(recipe, recipe.calibration.data)
    return [_load(recipe, path) for path in spread(files, recipe.calibration.limit)]


def spread(files: Sequence[Path], limit: int) -> list[Path]:
    """At most `limit` of `files`, evenly spaced: data sorted by class keeps all its classes."""
    count = min(limit, len(files))
    return [files[index * len(files) // count] for index in range(count)]


def _files(recipe: Recipe, data: str) -> list[Path]:
    """The files that `data`, a folder or a pattern, means, in the order of their names."""
    if any(mark in data for mark in _WILD):
        path = Path(data).expanduser()
        root = Path(path.anchor) if path.is_absolute() else recipe.base_dir
        pattern = str(path.relative_to(path.anchor)) if path.is_absolute() else str(path)
        found = [file for file in root.glob(pattern) if file.is_file()]
    else:
        folder = recipe.resolve(data)
        if not folder.is_dir():
            raise UsageError(f"{recipe.origin}: calibration.data: {folder}: no such folder")
        known = (*ARRAY_SUFFIXES, *_picture_suffixes())
        found = [file for file in folder.rglob("*") if file.is_file() and file.suffix.lower() in known]
    if not found:
        raise UsageError(
            f"{recipe.origin}: calibration.data: {data}: no pictures or .npy or .npz files there",
            hint="put some real inputs there, or take the key out: the recipe's samples then calibrate",
        )
    return sorted(found)


def _picture_suffixes() -> tuple[str, ...]:
    from PIL import Image

    return tuple(Image.registered_extensions())


def _load(recipe: Recipe, path: Path) -> dict[str, NDArray[Any]]:
    needed = [name for name, spec in recipe.inputs.items() if spec.value is None] or list(recipe.inputs)[:1]
    held = _names_in(path)
    if held is None and len(needed) > 1:
        raise UsageError(
            f"{path}: is one array, and the inputs {', '.join(needed)} need one each",
            hint="calibrate a model of several inputs by .npz files with an array for each input",
        )
    return {
        name: load_input(spec, path, name)
        if name in (held or ()) or (name in needed and len(needed) == 1)
        else _absent(recipe, name, path)
        for name, spec in recipe.inputs.items()
    }


def _absent(recipe: Recipe, name: str, path: Path) -> NDArray[Any]:
    spec = recipe.inputs[name]
    if spec.value is None:
        raise UsageError(f"{path}: holds no array called '{name}'")
    return constant(spec)


def _names_in(path: Path) -> list[str] | None:
    """The arrays of a .npz; None for any other file, which holds one nameless tensor."""
    if path.suffix.lower() != ".npz":
        return None
    import zipfile

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as archive:
            return list(archive.files)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        raise UsageError(f"{path}: not a readable NumPy file of numbers") from None
