"""`edgeflow doctor`: is this installation able to work?"""

from __future__ import annotations

import typer

from edgeflow.cli.context import options_of


def doctor(context: typer.Context) -> None:
    """Check the installation: home, store, converters, runtimes. Exit 6 if a tool is missing."""
    from edgeflow import api
    from edgeflow.cli import render

    options = options_of(context)
    document = api.doctor(options.workspace())
    options.show(document, render.doctor_view)
    if any(not check["ready"] for check in document["checks"]):
        raise typer.Exit(6)
