"""`edgeflow results`: what was measured, with its raw samples."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from edgeflow.cli.context import options_of
from edgeflow.errors import UsageError

app = typer.Typer(help="Stored results: list, show, history, export.", no_args_is_help=True)

DeviceFilter = Annotated[str | None, typer.Option("--device", "-d", help="Only of this device.")]
RuntimeFilter = Annotated[str | None, typer.Option("--runtime", "-r", help="Only of this runtime.")]
ModelFilter = Annotated[str | None, typer.Option("--model", "-m", help="Only of this model.")]
SweepFilter = Annotated[
    str | None, typer.Option("--sweep", "-s", help="Only of this sweep: its id, or last.")
]
Limit = Annotated[int | None, typer.Option(min=1, help="At most so many, the newest first.")]


class Format(StrEnum):
    """An export format."""

    csv = "csv"
    json = "json"
    parquet = "parquet"


@app.command("list")
def list_results(
    context: typer.Context,
    sweep: SweepFilter = None,
    device: DeviceFilter = None,
    runtime: RuntimeFilter = None,
    model: ModelFilter = None,
    limit: Limit = 30,
) -> None:
    """List results, the newest first."""
    from edgeflow import api
    from edgeflow.cli import render

    options = options_of(context)
    document = api.list_results(
        options.workspace(), sweep=sweep, device=device, runtime=runtime, model=model, limit=limit
    )
    options.show(document, render.results_view)


@app.command("show")
def show(
    context: typer.Context,
    result_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="An id, the start of one, or last.")
    ] = None,
    sweep: Annotated[
        str | None, typer.Option("--sweep", "-s", help="A sweep instead: its id, or last.")
    ] = None,
) -> None:
    """Show one result whole, or a sweep; --json adds a result's raw samples."""
    from edgeflow import api

    options = options_of(context)
    if (result_id is None) == (sweep is None):
        raise UsageError("name a result or --sweep ID", hint="edgeflow results list shows them")
    if sweep is not None:
        from edgeflow.cli import sweep_view

        options.show(api.show_sweep(sweep, options.workspace()), sweep_view.sweep_view)
        return
    from edgeflow.cli import render

    assert result_id is not None
    document = api.show_result(result_id, options.workspace())
    options.show(document, render.result_view)


@app.command("history")
def history(
    context: typer.Context,
    result_id: Annotated[
        str, typer.Argument(metavar="ID", help="A result of the cell: an id, the start of one, or last.")
    ] = "last",
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 30,
) -> None:
    """One cell over time: how its median moved, and which versions changed before it did.

    A cell is a model on a device with a runtime, precision, accelerator, threads and mode.
    """
    from edgeflow import api
    from edgeflow.cli import sweep_view

    options = options_of(context)
    options.show(api.result_history(result_id, options.workspace(), limit=limit), sweep_view.history_view)


@app.command("export")
def export(
    context: typer.Context,
    file_format: Annotated[
        Format, typer.Option("--format", "-f", help="csv (one row a result), json, parquet.")
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file. Default: stdout.")] = None,
    sweep: SweepFilter = None,
    device: DeviceFilter = None,
    runtime: RuntimeFilter = None,
    model: ModelFilter = None,
    limit: Limit = None,
) -> None:
    """Export results; JSON and Parquet carry the raw samples."""
    from edgeflow import api
    from edgeflow.cli import console

    options = options_of(context)
    if options.as_json and file_format is not Format.json:
        raise UsageError(
            f"--json and --format {file_format.value} exclude each other", hint="leave one of them out"
        )
    if file_format is Format.parquet:
        if output is None:
            raise UsageError("Parquet is no text for stdout", hint="name a file: --output results.parquet")
        api.export_parquet(
            options.workspace(), output,
            sweep=sweep, device=device, runtime=runtime, model=model, limit=limit,
        )  # fmt: skip
    else:
        text = api.export_results(
            options.workspace(), file_format.value,
            sweep=sweep, device=device, runtime=runtime, model=model, limit=limit,
        )  # fmt: skip
        console.write_text(text, output)
    if output is not None and not options.quiet:
        console.say(f"wrote {output}")
