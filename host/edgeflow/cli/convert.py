"""`edgeflow convert`: the converter alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from edgeflow.cli import options as opt
from edgeflow.cli.context import options_of

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
) -> None:
    """Convert a model for one runtime and verify the product.

    The product is run here and compared with ONNX Runtime before it counts.

    \b
    Examples:
      edgeflow convert model.onnx --runtime ncnn --output out/
      edgeflow convert zoo:blazeface -r ncnn -p fp16 --json
    """
    from edgeflow import api

    options = options_of(context)
    with options.progress() as progress:
        document = api.convert(
            model, runtime=runtime, precision=precision, output=output,
            workspace=options.workspace(), progress=progress, options=opt.parse_options(option),
        )  # fmt: skip

    def view(shown: Mapping[str, Any]) -> RenderableType:
        from edgeflow.cli import render  # --json does without, and convert from the cache is mostly imports

        return render.artifact_view(shown)

    options.show(document, view)
