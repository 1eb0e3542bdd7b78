"""`edgeflow convert`: the converter alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeflow.cli import options as opt
from edgeflow.cli.context import options_of
from edgeflow.errors import NumericsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType


def convert(
    context: typer.Context,
    model: opt.ModelArgument = None,
    runtime: opt.RuntimeOption = "ncnn",
    precision: opt.PrecisionOption = "fp32",
    output: opt.OutputFolder = None,
    option: opt.ConversionOption = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Where the product disagrees, find the node to blame.")
    ] = False,
    trust: opt.TrustOption = False,
    shape: opt.ShapeOption = None,
) -> None:
    """Convert a model for one runtime and verify the product.

    The product is run here and compared with ONNX Runtime before it counts. One that disagrees is refused
    (exit 5); with --explain, parts of the model are then converted and compared until the first tensor that
    disagrees is found, and the node that computes it is named with a way out.

    \b
    Examples:
      edgeflow convert model.onnx --runtime ncnn --output out/
      edgeflow convert zoo:blazeface -r ncnn -p fp16 --json
      edgeflow convert model.onnx -r ncnn --explain
    """
    from edgeflow import api

    options = options_of(context)

    # --json does without what only draws, and convert from the cache is mostly imports.
    def view(shown: Mapping[str, Any]) -> RenderableType:
        from edgeflow.cli import render

        return render.artifact_view(shown)

    def explanation(shown: Mapping[str, Any]) -> RenderableType:
        from edgeflow.cli import render_explain

        return render_explain.explanation_view(shown)

    try:
        with options.progress() as progress:
            document = api.convert(
                model, runtime=runtime, precision=precision, output=output, workspace=options.workspace(),
                progress=progress, options=opt.parse_options(option), explain=explain,
                trust=trust, shapes=tuple(shape or ()),
            )  # fmt: skip
    except NumericsError as error:
        if error.explanation is not None and not options.as_json:
            options.show(error.explanation, explanation)
        raise
    options.show(document, view)
