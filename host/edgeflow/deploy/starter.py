"""`edgeflow init`: a recipe to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow.converter_errors import converter_errors
from edgeflow.errors import UsageError
from edgeflow.files import write_atomic

if TYPE_CHECKING:
    from edgeflow.workspace import Workspace


def init_document(model: Path, output: Path, force: bool, workspace: Workspace) -> dict[str, Any]:
    """Writes the annotated recipe of `model` to `output`. Raises UsageError, ConversionError."""
    from edgeflow.config.starter import render_recipe
    from edgeflow_converters.inspect import inspect_model

    source, target = workspace.cwd / model, workspace.cwd / output
    if not source.is_file():
        raise UsageError(f"{model}: no such file")
    if target.suffix not in (".yaml", ".yml"):
        raise UsageError(f"--output {output}: expected a file name that ends in .yaml")
    if target.exists() and not force:
        raise UsageError(f"{output}: is there already", hint="give --force to replace it, or --output FILE")
    with converter_errors():
        info = inspect_model(source)
    text = render_recipe(source, info, target.parent)
    write_atomic(target, text.encode())
    return {"schema": "edgeflow.init/1", "model": str(model), "recipe": str(output)}
