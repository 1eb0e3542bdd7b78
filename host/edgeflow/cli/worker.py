"""`edgeflow worker`: this host's devices for sweeps that run elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeflow.cli.context import options_of
from edgeflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType


def worker(
    context: typer.Context,
    scheduler: Annotated[
        str, typer.Argument(metavar="SCHEDULER", help="dask://HOST:PORT of `dask scheduler`.")
    ],
    devices: Annotated[
        str | None,
        typer.Option("--devices", "-d", help="Devices or tags. Default: all of devices.yaml but local."),
    ] = None,
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, help="Where it listens for the scheduler. Default: any free port."),
    ] = 0,
) -> None:
    """Offer this host's devices to `edgeflow sweep --executor dask://HOST:PORT`, until Ctrl-C.

    It is a Dask worker with one resource for each device. Whoever reaches the scheduler can run programs
    here: use loopback, a VPN or TLS (docs/scaling.md).

    \b
    Examples:
      dask scheduler --host 10.8.0.1 --port 8786
      edgeflow worker dask://10.8.0.1:8786 --devices tag:phone
      edgeflow sweep plan.yaml --executor dask://10.8.0.1:8786
    """
    from edgeflow import api
    from edgeflow.config.plan import THREADS, checked_executor, split_words

    try:
        if checked_executor(scheduler) == THREADS:
            raise ValueError("expected dask://HOST:PORT, got 'threads'")
    except ValueError as error:
        raise UsageError(f"SCHEDULER: {error}") from None
    options = options_of(context)
    with options.progress() as progress:
        document = api.worker(scheduler, split_words(devices) or [], options.workspace(), progress, port=port)
    options.show(document, _view)


def _view(document: Mapping[str, Any]) -> RenderableType:
    from rich.text import Text

    from edgeflow.cli.units import count_text

    return Text(f"{count_text(document['jobs'], 'job')} measured on {', '.join(document['devices'])}")
