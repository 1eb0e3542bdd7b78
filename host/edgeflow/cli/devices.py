"""`edgeflow devices`: the fleet of devices.yaml."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeflow.cli.context import options_of

app = typer.Typer(help="The devices of devices.yaml: list, scan, check, facts.", no_args_is_help=True)

Names = Annotated[list[str] | None, typer.Argument(help="Device names or tags. Default: all.")]


@app.command("list")
def list_devices(context: typer.Context) -> None:
    """List the devices that devices.yaml names. Contacts none of them."""
    from edgeflow import api
    from edgeflow.cli import render

    options = options_of(context)
    document = api.list_devices(options.workspace())
    options.show(document, render.devices_view)


@app.command("check")
def check(context: typer.Context, names: Names = None) -> None:
    """Reach each device and say what is wrong with it and how to mend it. Exit 3 if any cannot be used."""
    from edgeflow import api
    from edgeflow.cli import render

    options = options_of(context)
    with options.progress() as progress:
        document = api.check_devices(names or [], options.workspace(), progress)
    options.show(document, render.check_view)
    if any(device["state"] == "problem" for device in document["devices"]):
        raise typer.Exit(3)


@app.command("scan")
def scan(
    context: typer.Context,
    write: Annotated[bool, typer.Option("--write", help="Add what is new to devices.yaml.")] = False,
) -> None:
    """Look for phones that adb sees and hosts that ssh knows; propose entries. Contacts no host."""
    from edgeflow import api
    from edgeflow.cli import render

    options = options_of(context)
    options.show(api.scan_devices(options.workspace(), write=write), render.scan_view)


@app.command("facts")
def facts(
    context: typer.Context, name: Annotated[str, typer.Argument(help="A device of devices.yaml.")] = "local"
) -> None:
    """Tell what a device is: system, ABI, cores, memory, sensors."""
    from edgeflow import api
    from edgeflow.cli import render

    options = options_of(context)
    document = api.device_facts(name, options.workspace())
    options.show(document, render.facts_view)
