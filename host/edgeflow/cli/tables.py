"""What all tables have in common: their look, and the colours of states."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

_STATE_STYLES = {
    "valid": "green",
    "pass": "green",
    "ok": "green",
    "ready": "green",
    "suspect": "yellow",
    "invalid": "red",
    "fail": "red",
    "problem": "red",
    "missing": "red",
}


_NEVER_BROKEN = {"id", "cell", "started (UTC)", "status", "median", "p95", "A", "B"}


def state_text(state: str) -> Text:
    """A state in its colour."""
    return Text(state, style=_STATE_STYLES.get(state, ""))


def new_table(*columns: str) -> Table:
    """An empty table without lines; ids, times and figures are never broken."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=name in _NEVER_BROKEN)
    return table
