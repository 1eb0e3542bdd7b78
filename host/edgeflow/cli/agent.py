"""`edgeflow agent`: the daemon's life on a device."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeflow.cli.context import options_of
from edgeflow.cli.options import DeviceOption

app = typer.Typer(help="The agent as a daemon on a device: start, status, stop, logs.", no_args_is_help=True)


@app.command("start")
def start(context: typer.Context, device: DeviceOption = "local") -> None:
    """Start the daemon; deploy then uses it. Says so if it runs already."""
    from edgeflow import api
    from edgeflow.cli import render

    options = options_of(context)
    with options.progress() as progress:
        document = api.agent_start(device, options.workspace(), progress)
    options.show(document, render.agent_view)


@app.command("status")
def status(context: typer.Context, device: DeviceOption = "local") -> None:
    """Tell whether the daemon runs, its version, its runtimes and who uses it."""
    from edgeflow import api
    from edgeflow.cli import render

    options = options_of(context)
    document = api.agent_status(device, options.workspace())
    options.show(document, render.agent_view)


@app.command("stop")
def stop(
    context: typer.Context,
    device: DeviceOption = "local",
    force: Annotated[bool, typer.Option("--force", help="Stop it even while a job runs.")] = False,
) -> None:
    """Stop the daemon. Refused while a job runs, unless --force."""
    from edgeflow import api
    from edgeflow.cli import render

    options = options_of(context)
    document = api.agent_stop(device, options.workspace(), force=force)
    options.show(document, render.agent_view)


@app.command("logs")
def logs(
    context: typer.Context,
    device: DeviceOption = "local",
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=10000, help="How many of the last.")] = 50,
) -> None:
    """Print the daemon's last log lines."""
    from edgeflow import api
    from edgeflow.cli import console

    options = options_of(context)
    document = api.agent_logs(device, lines, options.workspace())
    if options.as_json:
        console.emit_json(document)
    else:
        for line in document["lines"]:
            console.emit_plain(line)
