"""`edgeflow lab`: virtual phones and boards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeflow.cli.context import options_of

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer(
    help="Virtual phones and boards on a Linux machine (needs root): up, down, status, authorize.",
    no_args_is_help=True,
)

Names = Annotated[list[str] | None, typer.Argument(help="Lab devices. Default: the usual ones.")]


@app.command("up")
def up(context: typer.Context, names: Names = None) -> None:
    """Start lab devices. The first time builds them (about two minutes), later it takes seconds."""
    from edgeflow.lab import lab

    options = options_of(context)
    with options.progress() as progress:
        document = lab.up(names or [], options.workspace().home, progress)
    _show(context, document)


@app.command("down")
def down(context: typer.Context, names: Names = None) -> None:
    """Stop lab devices; all of them unless some are named."""
    from edgeflow.lab import lab

    _show(context, lab.down(names or [], options_of(context).workspace().home))


@app.command("status")
def status(context: typer.Context) -> None:
    """Which lab devices there are, which of them run, and where."""
    from edgeflow.lab import lab

    _show(context, lab.status(options_of(context).workspace().home))


@app.command("authorize")
def authorize(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A lab phone that asks for this computer's key.")],
) -> None:
    """Say yes on a lab phone that asks whether to allow this computer."""
    from edgeflow.lab import lab

    _show(context, lab.authorize(name, options_of(context).workspace().home))


def _show(context: typer.Context, document: dict[str, Any]) -> None:
    from edgeflow.cli import console

    if options_of(context).as_json:
        console.emit_json(document)
        return
    console.emit(_table(document))
    if any(device["state"] == "up" for device in document["devices"]):
        console.say(f"use them: edgeflow --devices-file {document['devices_file']} devices check")
        console.say(f"host keys for ssh: cat {document['known_hosts']} >> ~/.ssh/known_hosts")


def _table(document: dict[str, Any]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("device", "state", "address", "link", "what it is"):
        table.add_column(column)
    for device in document["devices"]:
        table.add_row(
            device["name"],
            device["state"],
            device["address"] or "",
            device["link"] or "",
            device["description"],
        )
    return table
