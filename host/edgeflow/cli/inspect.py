"""`edgeflow inspect`: what is inside of a model file or an artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeflow.cli.context import options_of


def inspect(
    context: typer.Context,
    path: Annotated[
        Path, typer.Argument(help="A .dlc, .onnx, .param, .tflite, .mnn or .xml, or an artifact's folder.")
    ],
    tensors: Annotated[
        bool, typer.Option("--tensors", help="List every tensor, not only the largest.")
    ] = False,
) -> None:
    """Show the operators, tensors and versions in a model file or an artifact.

    Nothing is run. What a format or its reader does not tell is named.

    \b
    Examples:
      edgeflow inspect model.dlc
      edgeflow inspect out/ --json
    """
    from edgeflow import api
    from edgeflow.cli.render_inspect import inspect_view

    options = options_of(context)
    document = api.inspect(path, options.workspace())
    options.show(document, lambda shown: inspect_view(shown, every=tensors))
