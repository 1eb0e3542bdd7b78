"""`edgeflow convert`: the converter alone."""

from __future__ import annotations

import typer

from edgeflow.cli import options as opt
from edgeflow.cli.context import options_of


def convert(
    context: typer.Context,
    model: opt.ModelArgument = None,
    runtime: opt.RuntimeOption = "ncnn",
    precision: opt.PrecisionOption = "fp32",
    output: opt.OutputFolder = None,
    trust: opt.TrustOption = False,
    shape: opt.ShapeOption = None,
) -> None:
    """Convert a model for one runtime and verify the product.

    The product is run here and compared with ONNX Runtime before it counts.

    \b
    Examples:
      edgeflow convert model.onnx --runtime ncnn --output out/
      edgeflow convert zoo:blazeface -r ncnn -p fp16 --json
    """
    from edgeflow import api
    from edgeflow.cli import render

    options = options_of(context)
    with options.progress() as progress:
        document = api.convert(
            model, runtime=runtime, precision=precision, output=output,
            workspace=options.workspace(), progress=progress, trust=trust, shapes=tuple(shape or ()),
        )  # fmt: skip
    options.show(document, render.artifact_view)
