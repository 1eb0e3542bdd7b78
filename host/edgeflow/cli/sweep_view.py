"""Sweeps and comparisons as tables: pure functions from documents to what a person reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from edgeflow.cli.tables import new_table
from edgeflow.cli.units import count_text, ms_text

Document = Mapping[str, Any]

_KEYS = ("model", "runtime", "precision", "accelerator", "threads", "mode", "device")
_VERDICT_STYLES = {"slower": "red", "faster": "green"}
_STYLES = {"ok": "green", "failed": "red", "pending": "yellow"}


def sweep_view(document: Document) -> RenderableType:
    """Every job of a sweep: its median, or why it has none."""
    jobs = document["jobs"]
    shown, same = _columns(jobs)
    repeats = len({job["repeat"] for job in jobs}) > 1
    table = new_table(
        *shown, *(["repeat"] if repeats else []), "status", "median", "validity", "result or error"
    )
    for job in jobs:
        error = job["error"]
        table.add_row(
            *(_word(job[name]) for name in shown),
            *([str(job["repeat"])] if repeats else []),
            Text(job["status"], style=_STYLES.get(job["status"], "")),
            "" if job["median_ms"] is None else ms_text(job["median_ms"]),
            job["validity"] or "",
            job["result_id"] or ("" if error is None else f"{error['kind']}: {error['message']}"),
        )
    counts = document["counts"]
    head = (
        f"sweep {document['id']}: {counts['ok']} ok, {counts['failed']} failed, {counts['pending']} not run"
    )
    return Group(Text(head, style="bold"), *_said(same), table, *_dropped(document["dropped"]))


def plan_view(document: Document) -> RenderableType:
    """What a plan comes to."""
    cells = document["cells"]
    shown, same = _columns(cells)
    table = new_table("cell", *shown, *(["priority"] if any(cell["priority"] for cell in cells) else []))
    for cell in cells:
        extra = [str(cell["priority"])] if len(table.columns) > len(shown) + 1 else []
        table.add_row(cell["cell"], *(_word(cell[name]) for name in shown), *extra)
    expected = document["estimate"]
    known = expected["jobs_known"] + expected["jobs_like_others_of_the_device"]
    jobs = len(cells) * document["repeats"]
    basis = f"{known} of {jobs} jobs by earlier results, the others by a default"
    if known == jobs:
        basis = "by earlier results"
    elif not known:
        basis = "by a default: nothing like it was measured before"
    head = (
        f"{count_text(len(cells), 'cell')}, {count_text(jobs, 'job')}, "
        f"{count_text(expected['conversions'], 'conversion')}; about {_minutes(expected['seconds'])} "
        f"({basis}; conversions that are not in the cache come on top)"
    )
    notes = [Text(f"note: {note}", style="yellow") for note in document["notes"]]
    return Group(Text(head, style="bold"), *_said(same), table, *_dropped(document["dropped"]), *notes)


def compare_view(document: Document) -> RenderableType:
    """Matched cells of two sides, with the difference of their medians and its interval."""
    cells = document["cells"]
    shown, same = _columns(cells)
    doubts = _doubts(cells)
    table = new_table(*shown, "A", "B", "difference", "95 % interval", "verdict", *doubts)
    for cell in cells:
        table.add_row(
            *(_word(cell[name]) for name in shown),
            ms_text(cell["a"]["median_ms"]),
            ms_text(cell["b"]["median_ms"]),
            percent(cell["change"]),
            interval(cell["ci95"]),
            Text(cell["verdict"], style=_VERDICT_STYLES.get(cell["verdict"], "dim")),
            *(Text(cell["doubt"], style="yellow") for _ in doubts),
        )
    lines: list[RenderableType] = [Text(compare_head(document), style="bold"), *_said(same), table]
    for name in ("a", "b"):
        alone = document[f"only_{name}"]
        if alone:
            some = "; ".join(_cell_text(cell) for cell in alone[:5]) + ("; …" if len(alone) > 5 else "")
            lines.append(
                Text(f"only in {name.upper()}: {count_text(len(alone), 'cell')}: {some}", style="dim")
            )
    return Group(*lines)


def compare_head(document: Document) -> str:
    """One line that says what was compared and what came out."""
    verdicts = Counter(cell["verdict"] for cell in document["cells"])
    found = ", ".join(f"{verdicts[word]} {word}" for word in ("slower", "faster", "same") if verdicts[word])
    doubtful = sum(bool(cell["doubt"]) for cell in document["cells"])
    doubt = f"; {count_text(doubtful, 'cell')} with results that are not valid" if doubtful else ""
    cells = count_text(len(document["cells"]), "cell")
    return f"A {document['a']}  B {document['b']}: {cells}: {found}{doubt}"


def _doubts(cells: Sequence[Document]) -> list[str]:
    """The column for what a cell rests on beside valid results, where any does."""
    return ["rests on"] if any(cell["doubt"] for cell in cells) else []


def history_view(document: Document) -> RenderableType:
    """One cell's results, the oldest first: each beside what changed before it was made."""
    rows, cell = document["results"], document["cell"]
    table = new_table(
        "id", "started (UTC)", "median", "validity", "against the one before", "", "what changed"
    )
    for row in rows:
        first = row["change"] is None
        table.add_row(
            row["result_id"],
            row["started_at"][:16].replace("T", " "),
            ms_text(row["median_ms"]),
            row["validity"] or "",
            "" if first else f"{percent(row['change'])} ({interval(row['ci95'])})",
            Text(row["verdict"] or "", style=_VERDICT_STYLES.get(row["verdict"], "dim")),
            "; ".join(_change_text(change) for change in row["changed"]),
        )
    older = document["count"] - len(rows)
    return Group(
        Text(f"{_cell_text(cell)} {cell['accelerator']} {cell['mode']}", style="bold"),
        *(
            [Text(f"{count_text(older, 'older result')} left out; --limit shows more", style="dim")]
            if older
            else []
        ),
        table,
    )


def _change_text(change: Document) -> str:
    if change["from"] is None:
        return f"{change['what']} {change['to']}"
    return f"{change['what']} {change['from']} -> {change['to'] or 'none'}"


def compare_markdown(document: Document) -> str:
    """The comparison for a pull request: what changed open, the rest folded away."""
    cells = document["cells"]
    shown, same = _columns(cells)
    changed = [cell for cell in cells if cell["verdict"] != "same"]
    lines = [f"**{compare_head(document)}**", ""]
    if same:
        lines += ["All: " + ", ".join(same), ""]
    if changed:
        lines += [*_markdown_rows(changed, shown), ""]
    quiet = [cell for cell in cells if cell["verdict"] == "same"]
    if quiet:
        summary = f"<summary>{count_text(len(quiet), 'cell')} without a difference to see</summary>"
        lines += ["<details>", summary, "", *_markdown_rows(quiet, shown), "", "</details>", ""]
    for name in ("a", "b"):
        if alone := document[f"only_{name}"]:
            lines += [f"Only in {name.upper()}: " + "; ".join(_cell_text(cell) for cell in alone), ""]
    return "\n".join(lines).rstrip() + "\n"


def percent(fraction: float) -> str:
    return f"{fraction * 100:+.1f} %"


def interval(ci95: Sequence[float] | None) -> str:
    return "too few samples" if ci95 is None else f"{percent(ci95[0])} to {percent(ci95[1])}"


def _markdown_rows(cells: Sequence[Document], shown: Sequence[str]) -> list[str]:
    doubts = _doubts(cells)
    names = [*shown, "A", "B", "difference", "95 % interval", "verdict", *doubts]
    rows = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for cell in cells:
        values = [
            *(_word(cell[name]).replace("|", "\\|") for name in shown),
            ms_text(cell["a"]["median_ms"]), ms_text(cell["b"]["median_ms"]),
            percent(cell["change"]), interval(cell["ci95"]), cell["verdict"],
            *(cell["doubt"] for _ in doubts),
        ]  # fmt: skip
        rows.append("| " + " | ".join(values) + " |")
    return rows


def _columns(rows: Sequence[Document]) -> tuple[list[str], list[str]]:
    """The keys in which rows differ, and the others as words."""
    shown = [name for name in _KEYS if len(rows) < 2 or len({row[name] for row in rows}) > 1]
    same = [f"{name} {_word(rows[0][name])}" for name in _KEYS if rows and name not in shown]
    return shown, same


def _said(same: Sequence[str]) -> list[RenderableType]:
    return [Text("all: " + ", ".join(same), style="dim")] if same else []


def _dropped(dropped: Sequence[Document]) -> list[RenderableType]:
    """Cells that are left out, by reason."""
    reasons = Counter(cell["reason"] for cell in dropped)
    return [
        Text(f"left out: {count_text(count, 'cell')}: {reason}", style="dim")
        for reason, count in reasons.items()
    ]


def _cell_text(cell: Document) -> str:
    return " ".join(_word(cell[name]) for name in ("model", "device", "runtime", "precision", "threads"))


def _word(value: object) -> str:
    return "own" if value is None else str(value)


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
