"""`edgeflow coverage`: what each runtime takes of a suite of models."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeflow.cli.context import options_of
from edgeflow.errors import ConversionError, NumericsError


def coverage(
    context: typer.Context,
    suite: Annotated[
        str, typer.Option("--suite", "-s", help="onnx-node, onnx-small, exports33, or a folder of cases.")
    ] = "onnx-node",
    runtimes: Annotated[str, typer.Option("--runtimes", "-r", help="Several with commas.")] = "ncnn",
    precisions: Annotated[str, typer.Option("--precisions", "-p", help="Several with commas.")] = "fp32",
    bare: Annotated[
        bool, typer.Option("--bare", help="Also ask each runtime's own tool alone, and compare.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="PATTERN", help="Cases by name, e.g. 'test_conv*'.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=0, help="At once. Default: one a processor.")] = 0,
    limit: Annotated[
        float, typer.Option("--limit", min=1.0, metavar="SECONDS", help="For each step of a case.")
    ] = 60.0,
    markdown: Annotated[bool, typer.Option("--markdown", help="The table for a document.")] = False,
) -> None:
    """Convert and run every case of a suite, and judge it by the suite's own answers.

    A case agrees, is declined with a diagnosis, fails, or is wrong: handed out although its outputs are not
    the suite's. Outcomes are kept, and what was asked before with the same versions is not asked again. Exit
    5 if any is wrong, 4 if any failed.

    \b
    Examples:
      edgeflow coverage --runtimes ncnn,mnn,tflite --bare
      edgeflow coverage --suite onnx-small -r onnxruntime
      edgeflow coverage -r mnn --only 'test_conv*' --json
      edgeflow coverage --suite exports33 -r ncnn,mnn,tflite -p fp32,fp16
      edgeflow coverage --suite my-models/ -r ncnn
    """
    from edgeflow import api
    from edgeflow.cli import console, render_coverage
    from edgeflow.config.plan import split_words

    options = options_of(context)
    with options.progress() as progress:
        document = api.coverage(
            suite,
            runtimes=split_words(runtimes) or [],
            precisions=split_words(precisions) or [],
            workspace=options.workspace(),
            progress=progress,
            bare=bare,
            only=tuple(only or ()),
            jobs=jobs,
            limit_s=limit,
        )
    if markdown:
        console.write_text(render_coverage.coverage_markdown(document), None)
    else:
        options.show(document, render_coverage.coverage_view)
    wrong, failed = (sum(row[state] for row in document["rows"]) for state in ("wrong", "failed"))
    if wrong:
        console.say(f"error: {wrong} products were handed out wrong")
        raise typer.Exit(NumericsError.exit_code)
    if failed:
        console.say(f"error: {failed} cases failed")
        raise typer.Exit(ConversionError.exit_code)
