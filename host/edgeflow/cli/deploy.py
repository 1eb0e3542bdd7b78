"""`edgeflow deploy`: the main job."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeflow.cli import options as opt
from edgeflow.cli.context import options_of


def deploy(
    context: typer.Context,
    model: opt.ModelArgument = None,
    device: opt.DeviceOption = "local",
    runtime: opt.RuntimeOption = "ncnn",
    precision: opt.PrecisionOption = "fp32",
    accelerator: opt.AcceleratorOption = "cpu",
    threads: opt.ThreadsOption = None,
    agent: opt.AgentOption = None,
    affinity: opt.AffinityOption = None,
    governor: opt.GovernorOption = None,
    mode: Annotated[opt.Mode, typer.Option(help="How long to measure.")] = opt.Mode.quick,
    budget_s: Annotated[
        float | None, typer.Option("--budget-s", min=0.1, max=86400, help="Most seconds of measuring.")
    ] = None,
    option: opt.ConversionOption = None,
    trust: opt.TrustOption = False,
    shape: opt.ShapeOption = None,
    require_valid: Annotated[
        bool, typer.Option("--require-valid", help="Exit 1 unless the result is valid.")
    ] = False,
) -> None:
    """Convert, run on a device, check the answers, measure.

    \b
    Examples:
      edgeflow deploy --device local --runtime ncnn
      edgeflow deploy model.onnx -d local -r onnxruntime --json
      edgeflow deploy zoo:ppocr-det -d local -r ncnn --precision fp16 --threads 2 --mode thorough
    """
    from edgeflow import api
    from edgeflow.cli import console

    options = options_of(context)
    request = api.DeployRequest(
        model=model,
        device=device,
        runtime=runtime,
        precision=precision,
        accelerator=accelerator,
        threads=threads,
        affinity=opt.parse_cores(affinity),
        governor=governor,
        mode=mode.value,
        budget_s=budget_s,
        agent=opt.kind_of(agent),
        options=opt.parse_options(option),
        trust=trust,
        shapes=tuple(shape or ()),
    )
    with options.progress() as progress:
        result = api.deploy(request, options.workspace(), progress)
    if options.as_json:
        console.emit_json(result.document)
    else:
        from edgeflow.cli import render  # rich is slow to import, and of no use before there is a result

        console.emit(render.result_view(result.document))
    if require_valid and result.validity != "valid":
        reasons = "; ".join(result.document["validity"]["reasons"])
        console.say(f"error: result {result.result_id} is {result.validity}: {reasons}")
        raise typer.Exit(1)
