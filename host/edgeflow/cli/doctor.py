"""`edgeflow doctor`: is this installation able to work?"""

from __future__ import annotations

import typer

from edgeflow.cli.context import options_of

_UNWRITABLE, _TOOL_MISSING = 2, 6


def doctor(context: typer.Context) -> None:
    """Check the installation: home, store, converters, runtimes. Exit 2 or 6 if not."""
    from edgeflow import api
    from edgeflow.cli import render_agent

    options = options_of(context)
    document = api.doctor(options.workspace())
    options.show(document, render_agent.doctor_view)
    broken = [check["name"] for check in document["checks"] if not check["ready"] and not check["optional"]]
    if broken:
        raise typer.Exit(_UNWRITABLE if broken[0] in ("home", "store") else _TOOL_MISSING)
