"""The zoo as the documents that `edgeflow zoo` shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgeflow.zoo.store import ZooModel, list_models, path, pull

ALL = "all"


def list_document(home: Path) -> dict[str, Any]:
    """Every model of the zoo, pulled or not (schema edgeflow.zoo/1)."""
    return {"schema": "edgeflow.zoo/1", "models": [_row(model) for model in list_models(home)]}


def pull_document(names: Sequence[str], home: Path, step: Callable[[str], None]) -> dict[str, Any]:
    """Pulls each named model, or all; stops at the first that cannot be had."""
    wanted = [model.name for model in list_models(home)] if list(names) == [ALL] else list(names)
    pulled = [pull(name, home, lambda line, name=name: step(f"{name}: {line}")) for name in wanted]  # type: ignore[misc]
    return {"schema": "edgeflow.zoo/1", "models": [_row(model) for model in pulled]}


def path_document(name: str, home: Path) -> dict[str, Any]:
    """The files of a pulled model (schema edgeflow.zoo-path/1)."""
    model = path(name, home)
    return {"schema": "edgeflow.zoo-path/1", "model": str(model), "recipe": str(model.parent / "recipe.yaml")}


def _row(model: ZooModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "summary": model.summary,
        "licence": model.licence,
        "package": model.source,
        "size_bytes": model.size_bytes,
        "pulled": model.pulled,
        "model": str(model.model_path) if model.pulled else None,
        "recipe": str(model.recipe_path) if model.pulled else None,
    }
