"""`edgeflow results`: what was measured, with its raw samples."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from edgeflow.cli.context import options_of
from edgeflow.errors import UsageError

app = typer.Typer(help="Stored results: list, show, export.", no_args_is_help=True)

DeviceFilter = Annotated[str | None, typer.Option("--device", "-d", help="Only of this device.")]
RuntimeFilter = Annotated[str | None, typer.Option("--runtime", "-r", help="Only of this runtime.")]
ModelFilter = Annotated[str | None, typer.Option("--model", "-m", help="Only of this model.")]
Limit = Annotated[int | None, typer.Option(min=1, help="At most so many, the newest first.")]


class Format(StrEnum):
    """An export format."""

    csv = "csv"
    json = "json"


@app.command("list")
def list_results(
    context: typer.Context,
    device: DeviceFilter = None,
    runtime: RuntimeFilter = None,
    model: ModelFilter = None,
    limit: Limit = 30,
) -> None:
    """List results, the newest first."""
    from edgeflow import api
    from edgeflow.cli import render

    options = options_of(context)
    document = api.list_results(options.workspace(), device=device, runtime=runtime, model=model, limit=limit)
    options.show(document, render.results_view)


@app.command("show")
def show(
    context: typer.Context,
    result_id: Annotated[str, typer.Argument(metavar="ID", help="An id, the start of one, or last.")],
) -> None:
    """Show one result whole; --json adds the raw samples."""
    from edgeflow import api
    from edgeflow.cli import render

    options = options_of(context)
    document = api.show_result(result_id, options.workspace())
    options.show(document, render.result_view)


@app.command("export")
def export(
    context: typer.Context,
    file_format: Annotated[Format, typer.Option("--format", "-f", help="csv (one row a result) or json.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file. Default: stdout.")] = None,
    device: DeviceFilter = None,
    runtime: RuntimeFilter = None,
    model: ModelFilter = None,
    limit: Limit = None,
) -> None:
    """Export results; JSON carries the raw samples."""
    from edgeflow import api
    from edgeflow.cli import console

    options = options_of(context)
    if options.as_json and file_format is Format.csv:
        raise UsageError("--json and --format csv exclude each other", hint="leave one of them out")
    text = api.export_results(
        options.workspace(), file_format.value, device=device, runtime=runtime, model=model, limit=limit
    )
    console.write_text(text, output)
    if output is not None and not options.quiet:
        console.say(f"wrote {output}")
