"""`edgeflow sweep`: many models on many devices."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeflow.cli import options as opt
from edgeflow.cli.context import options_of
from edgeflow.errors import UsageError

if TYPE_CHECKING:
    from edgeflow.cli.context import GlobalOptions


def sweep(
    context: typer.Context,
    plan: Annotated[Path | None, typer.Argument(metavar="PLAN", help="A plan (.yaml).")] = None,
    models: Annotated[
        str | None, typer.Option("--models", "-m", help="Models, as deploy takes them.")
    ] = None,
    devices: Annotated[
        str | None, typer.Option("--devices", "-d", help="Devices or tags, or all (the default).")
    ] = None,
    runtimes: Annotated[str | None, typer.Option("--runtimes", "-r", help="Default: ncnn.")] = None,
    precisions: Annotated[str | None, typer.Option("--precisions", "-p", help="Default: fp32.")] = None,
    threads: Annotated[
        str | None, typer.Option("--threads", "-t", help="Counts such as 1,4. Default: each device's own.")
    ] = None,
    repeats: Annotated[int | None, typer.Option(min=1, max=1000, help="Rounds over all cells.")] = None,
    mode: Annotated[opt.Mode | None, typer.Option(help="How long to measure.")] = None,
    budget_s: Annotated[
        float | None, typer.Option("--budget-s", min=0.1, max=86400, help="Most seconds of measuring a job.")
    ] = None,
    agent: opt.AgentOption = None,
    executor: Annotated[
        str | None,
        typer.Option(
            metavar="WHO",
            help="threads (the default), or dask://HOST:PORT: the devices of lab hosts (edgeflow worker).",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would run, and how long.")
    ] = False,
    resume: Annotated[
        str | None, typer.Option(metavar="ID", help="Run what is missing of a sweep: its id, or last.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="With --resume: run failed jobs again too.")
    ] = False,
    events: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append what happens, a JSON object a line.")
    ] = None,
) -> None:
    """Measure models x devices x runtimes x precisions x threads, from a plan or from flags.

    Several values are separated by commas; a flag counts before the plan's key. Exit 1 if any job failed or
    is still missing.

    \b
    Examples:
      edgeflow sweep plan.yaml --dry-run
      edgeflow sweep --models zoo:ppocr-det,zoo:mlsd-tiny --devices tag:phone --runtimes ncnn,onnxruntime
      edgeflow sweep --resume last
    """
    from edgeflow import api
    from edgeflow.config.plan import split_counts, split_words

    options = options_of(context)
    flags: dict[str, Any] = {
        "models": split_words(models),
        "devices": split_words(devices),
        "runtimes": split_words(runtimes),
        "precisions": split_words(precisions),
        "threads": split_counts(threads, "--threads"),
        "repeats": repeats,
        "modes": None if mode is None else [mode.value],
        "budget_s": budget_s,
        "agent": opt.kind_of(agent),
    }
    flags = {name: value for name, value in flags.items() if value is not None}
    if retry_failed and resume is None:
        raise UsageError("--retry-failed goes with --resume")
    request = api.SweepRequest(plan, flags, resume, retry_failed, events, executor)
    if dry_run:
        if resume is not None:
            raise UsageError("--dry-run and --resume exclude each other", hint="leave one of them out")
        from edgeflow.cli import sweep_view

        options.show(api.sweep_plan(request, options.workspace()), sweep_view.plan_view)
        return
    document = _run(request, options)
    if document["status"] != "complete":
        raise typer.Exit(1)


def _run(request: Any, options: GlobalOptions) -> dict[str, Any]:
    from edgeflow import api
    from edgeflow.cli import console, sweep_view
    from edgeflow.cli.sweep_watch import watch

    with ExitStack() as held:
        watcher = held.enter_context(watch(quiet=options.quiet))
        try:
            document = api.sweep(request, options.workspace(), [watcher])
        except KeyboardInterrupt:
            held.close()
            if watcher.sweep_id:
                console.say(f"go on with: edgeflow sweep --resume {watcher.sweep_id}")
            raise
    options.show(document, sweep_view.sweep_view)
    counts = document["counts"]
    if document["status"] != "complete":
        console.say(
            f"error: sweep {document['id']}: {counts['failed']} failed, {counts['pending']} not run, "
            f"{counts['ok']} ok"
        )
        if counts["pending"]:
            console.say(f"  try: edgeflow sweep --resume {document['id']}")
        else:
            console.say(f"  try: edgeflow sweep --resume {document['id']} --retry-failed")
    return document
