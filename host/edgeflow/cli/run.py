"""`edgeflow run`: answers from a device, not timings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeflow.cli import options as opt
from edgeflow.cli.context import options_of


def run(
    context: typer.Context,
    model: opt.ModelArgument = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input", "-i", help="A file for the model's input, or NAME=FILE. Repeat for more inputs."
        ),
    ] = None,
    device: opt.DeviceOption = "local",
    runtime: opt.RuntimeOption = "ncnn",
    precision: opt.PrecisionOption = "fp32",
    threads: opt.ThreadsOption = None,
    agent: opt.AgentOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write all output tensors to this .npz file.")
    ] = None,
) -> None:
    """Run a model on a device for given inputs: label and score, or tensors.

    Images are preprocessed by the recipe; .npy and .npz are taken as they are.

    \b
    Examples:
      edgeflow run zoo:pplcnet-orientation -d local -r ncnn --input page.png
      edgeflow run model.onnx -d local -r onnxruntime --input x=a.npy --input y=b.npy --output out.npz
    """
    from edgeflow import api
    from edgeflow.cli import render

    options = options_of(context)
    request = api.DeployRequest(
        model=model,
        device=device,
        runtime=runtime,
        precision=precision,
        threads=threads,
        agent=opt.kind_of(agent),
    )
    with options.progress() as progress:
        document = api.run(
            request, inputs or [], output=output, workspace=options.workspace(), progress=progress
        )
    options.show(document, render.run_view)
