"""`edgeflow toolchain`: what building the native agent needs, and the environments of converters."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeflow.cli.context import options_of
from edgeflow.cli.options import CompilerOption

app = typer.Typer(
    help="Compilers and runtimes of the native agent, and the tools of converters.", no_args_is_help=True
)

_TOOL_MISSING = 6


@app.command("list")
def list_toolchain(context: typer.Context) -> None:
    """Show the targets with their compilers, the runtimes with their targets, and the converters' tools."""
    from edgeflow import api
    from edgeflow.cli import render_agent

    options = options_of(context)
    with options.progress() as progress:
        document = api.toolchain_list(options.workspace(), progress)
    options.show(document, render_agent.toolchain_view)


@app.command("install")
def install(
    context: typer.Context,
    tools: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TOOL]...", help="A converter's tool, by its name in 'toolchain list'."),
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option("--target", help="For this target; may be repeated. Default: all.")
    ] = None,
    runtime: Annotated[
        list[str] | None, typer.Option("--runtime", "-r", help="This runtime; may be repeated. Default: all.")
    ] = None,
    compiler: CompilerOption = "auto",
) -> None:
    """Bring what is missing: a converter's TOOL; without one: CMake, a compiler (zig of PyPI), runtimes.

    Conversions and builds then need no network.
    """
    from edgeflow import api
    from edgeflow.cli import render_agent

    options = options_of(context)
    with options.progress() as progress:
        document = api.toolchain_install(
            target or (), runtime or (), compiler, options.workspace(), progress, tools=tools or ()
        )
    options.show(document, render_agent.toolchain_install_view)


@app.command("doctor")
def doctor(context: typer.Context) -> None:
    """Check what building and converting need, and name the command that mends it.

    Exit 6 where something is missing that is not optional.
    """
    from edgeflow import api
    from edgeflow.cli import render_agent

    options = options_of(context)
    with options.progress() as progress:
        document = api.toolchain_doctor(options.workspace(), progress)
    options.show(document, render_agent.doctor_view)
    if not all(check["ready"] or check["optional"] for check in document["checks"]):
        raise typer.Exit(_TOOL_MISSING)
