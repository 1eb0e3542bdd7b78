"""`edgeflow report`: results as one HTML file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeflow.cli.context import options_of


def report(
    context: typer.Context,
    sweep: Annotated[
        str | None, typer.Argument(metavar="[SWEEP]", help="A sweep's id, or last (the default).")
    ] = None,
    result: Annotated[
        list[str] | None, typer.Option("--result", "-r", help="Of this result instead; may be repeated.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Of all results that there are.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file. Default: edgeflow-sweep-ID.html here.")
    ] = None,
) -> None:
    """Write a sweep or chosen results as one HTML file, for a browser without a network.

    It holds the raw samples. An earlier report of that name is replaced, any other file is not.

    \b
    Examples:
      edgeflow report
      edgeflow report 6ajd --output phones.html
      edgeflow report --all
    """
    from edgeflow import api
    from edgeflow.cli import console

    options = options_of(context)
    document = api.report(
        options.workspace(), sweep=sweep, results=result or (), everything=everything, output=output
    )
    if options.as_json:
        console.emit_json(document)
        return
    if not options.quiet:
        for warning in document["warnings"]:
            console.say(f"note: {warning}")
    console.emit_plain(_line(document))


def _line(document: Mapping[str, Any]) -> str:
    from edgeflow.cli.units import bytes_text, count_text

    did = "replaced" if document["replaced"] else "wrote"
    return (
        f"{did} {document['path']}: {document['of']}, {count_text(document['results'], 'result')}, "
        f"{bytes_text(document['bytes'])}"
    )
