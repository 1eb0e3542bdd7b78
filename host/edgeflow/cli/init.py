"""`edgeflow init`: a recipe to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeflow.cli.context import options_of


def init(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(help="A model file (.onnx).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write it.")] = Path(
        "edgeflow.yaml"
    ),
    force: Annotated[bool, typer.Option("--force", help="Replace a recipe that is there.")] = False,
) -> None:
    """Write a recipe for a model to begin with.

    It says what the model's file says; what is a guess is marked as a guess.

    \b
    Example:
      edgeflow init model.onnx && edgeflow deploy --device local --runtime ncnn
    """
    from edgeflow import api
    from edgeflow.cli import console

    options = options_of(context)
    document = api.init_recipe(model, output, force=force, workspace=options.workspace())
    if options.as_json:
        console.emit_json(document)
    else:
        recipe = document["recipe"]
        command = "edgeflow deploy" + ("" if recipe == "edgeflow.yaml" else f" {recipe}")
        console.emit_plain(f"wrote {recipe}: look at the lines marked 'guess', then: {command}")
