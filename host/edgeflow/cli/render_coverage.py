"""Coverage for people: a row for each runtime and precision, and what is to be looked into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from edgeflow.cli.tables import new_table, state_text

Document = Mapping[str, Any]

_COLUMNS = ("agrees", "declined", "failed", "wrong")
_SHOWN = 20


def coverage_view(document: Document) -> RenderableType:
    """The counts as a table, then each case that is wrong or failed, or that the bare tool alone gets
    right."""
    table = new_table("runtime", "precision", "cases", *_COLUMNS, "bare agrees", "bare wrong", "lost")
    for row in document["rows"]:
        table.add_row(*_cells(row))
    return Group(table, *(Text(line) for line in _remarks(document)))


def coverage_markdown(document: Document) -> str:
    """The counts as a table of Markdown, and the versions that they are of."""
    head = ("runtime", "precision", "cases", *_COLUMNS, "bare agrees", "bare wrong", "lost")
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(_cells(row))} |" for row in document["rows"]]
    lines.append("")
    for runtime, versions in document["versions"].items():
        lines.append(f"{runtime}: {', '.join(f'{name} {value}' for name, value in versions.items())}  ")
    return "\n".join(lines) + "\n"


def _cells(row: Document) -> list[str]:
    bare, lost = row["bare"], row["lost"]
    return [
        row["runtime"],
        row["precision"],
        str(row["cases"]),
        *(str(row[state]) for state in _COLUMNS),
        "-" if bare is None else str(bare["agrees"]),
        "-" if bare is None else str(bare["wrong"]),
        "-" if lost is None else str(len(lost)),
    ]


def _remarks(document: Document) -> Iterator[str]:
    lost = {
        (row["runtime"], row["precision"], name) for row in document["rows"] for name in row["lost"] or ()
    }
    told = [
        outcome
        for outcome in document["outcomes"]
        if not outcome["bare"]
        and (
            outcome["state"] in ("wrong", "failed")
            or (outcome["runtime"], outcome["precision"], outcome["case"]) in lost
        )
    ]
    for outcome in told[:_SHOWN]:
        where = f"{outcome['runtime']} {outcome['precision']} {outcome['case']}"
        yield f"{state_text(outcome['state'])} {where}: {outcome['why']}"
    if len(told) > _SHOWN:
        yield f"and {len(told) - _SHOWN} more: --json tells all"
