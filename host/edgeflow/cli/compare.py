"""`edgeflow compare`: what became slower between two results, sweeps or exported files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from edgeflow.cli.context import options_of
from edgeflow.errors import UsageError

_SHOWN_FAILURES = 10


def compare(
    context: typer.Context,
    a: Annotated[
        str, typer.Argument(metavar="A", help="A result's or sweep's id, last, or an exported file.")
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="What is compared with it.")],
    fail_on: Annotated[
        str | None,
        typer.Option(metavar="PERCENT", help="Exit 1 if a cell is slower by more than this, for certain."),
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="With --fail-on: cells that B lacks do not fail.")
    ] = False,
    require_valid: Annotated[
        bool, typer.Option("--require-valid", help="Exit 1 where a result that is not valid is compared.")
    ] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="A summary for a pull request instead of a table.")
    ] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="With --markdown: a file.")] = None,
) -> None:
    """Compare the same cells of two sides: difference of medians with its 95 % interval.

    \b
    Examples:
      edgeflow compare 6ajd 6ak2
      edgeflow compare baseline.json last --fail-on 5%
      edgeflow compare baseline.json last --fail-on 5% --markdown >> "$GITHUB_STEP_SUMMARY"
    """
    from edgeflow import api
    from edgeflow.cli import console, sweep_view

    options = options_of(context)
    if markdown and options.as_json:
        raise UsageError("--json and --markdown exclude each other", hint="leave one of them out")
    if output is not None and not markdown:
        raise UsageError("--output goes with --markdown")
    limit = None if fail_on is None else _fraction(fail_on)
    document = api.compare(
        a,
        b,
        options.workspace(),
        fail_on=limit,
        allow_missing=allow_missing,
        require_valid=require_valid,
    )
    if markdown:
        console.write_text(sweep_view.compare_markdown(document), output)
    else:
        options.show(document, sweep_view.compare_view)
    failures = document["failures"]
    if failures:
        console.say(f"error: B does not pass: {len(failures)} failures")
        for failure in failures[:_SHOWN_FAILURES]:
            console.say(f"  {failure}")
        if len(failures) > _SHOWN_FAILURES:
            console.say(f"  and {len(failures) - _SHOWN_FAILURES} more")
        if document["only_a"] and fail_on is not None and not allow_missing:
            console.say("  try: --allow-missing, where B need not have all that A has")
        raise typer.Exit(1)


def _fraction(text: str) -> float:
    """5% or 5 as 0.05. Raises UsageError."""
    if not re.fullmatch(r"\d+(\.\d+)?\s*%?", text.strip()):
        raise UsageError(f"--fail-on {text}: expected a percentage such as 5%")
    return float(text.strip().rstrip("%")) / 100
