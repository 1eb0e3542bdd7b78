"""`edgeflow lab`: virtual phones and boards."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from edgeflow.cli.context import options_of

app = typer.Typer(
    help="Virtual phones and boards on a Linux machine (needs root): up, down, status, faults.",
    no_args_is_help=True,
)

Machine = Annotated[str, typer.Argument(help="A virtual machine of the lab, such as lab-arm64-vm.")]
Names = Annotated[list[str] | None, typer.Argument(help="Lab devices. Default: the usual ones.")]


@app.command("up")
def up(context: typer.Context, names: Names = None) -> None:
    """Start lab devices. The first time builds them (about two minutes), later it takes seconds."""
    from edgeflow import api

    options = options_of(context)
    with options.progress() as progress:
        document = api.lab_up(names or [], options.workspace(), progress)
    _show(context, document)


@app.command("down")
def down(context: typer.Context, names: Names = None) -> None:
    """Stop lab devices; all of them unless some are named."""
    from edgeflow import api

    _show(context, api.lab_down(names or [], options_of(context).workspace()))


@app.command("status")
def status(context: typer.Context) -> None:
    """Which lab devices there are, which of them run, and where."""
    from edgeflow import api

    _show(context, api.lab_status(options_of(context).workspace()))


@app.command("reboot")
def reboot(context: typer.Context, name: Machine) -> None:
    """Press a virtual machine's reset button, and wait until it is back. Its disk has what was synced."""
    from edgeflow import api

    options = options_of(context)
    with options.progress() as progress:
        document = api.lab_reboot(name, options.workspace(), progress)
    _show(context, document)


@app.command("power-cut")
def power_cut(context: typer.Context, name: Machine) -> None:
    """Take a virtual machine's power away. `edgeflow lab up NAME` gives it back, with its disk."""
    from edgeflow import api

    _show(context, api.lab_power_cut(name, options_of(context).workspace()))


@app.command("authorize")
def authorize(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A lab phone that asks for this computer's key.")],
) -> None:
    """Say yes on a lab phone that asks whether to allow this computer."""
    from edgeflow import api

    _show(context, api.lab_authorize(name, options_of(context).workspace()))


def _show(context: typer.Context, document: dict[str, Any]) -> None:
    from edgeflow.cli import console, render

    options = options_of(context)
    options.show(document, render.lab_view)
    if not options.as_json and any(device["state"] == "up" for device in document["devices"]):
        console.say(f"use them: edgeflow --devices-file {document['devices_file']} devices check")
