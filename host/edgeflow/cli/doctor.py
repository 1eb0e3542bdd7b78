"""`edgeflow doctor`: is this installation able to work?"""

from __future__ import annotations

import typer

from edgeflow.cli.context import options_of


def doctor(context: typer.Context) -> None:
    """Check the installation: home, store, converters, runtimes. Exit 6 if a tool is missing."""
    from edgeflow import api
    from edgeflow.cli import console, render

    options = options_of(context)
    document = api.doctor(options.workspace())
    if options.as_json:
        console.emit_json(document)
    else:
        console.emit(render.doctor_view(document))
    if any(not check["ready"] for check in document["checks"]):
        raise typer.Exit(6)
