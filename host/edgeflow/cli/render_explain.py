"""An explanation of a product that disagrees, as a table: from JSON to what a person reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgeflow.cli.tables import new_table
from edgeflow.cli.units import cosine_text, percent_text

Document = Mapping[str, Any]

_KINDS = {
    "node": "wrong by itself: fed with the right values, {runtime} computes it wrong",
    "company": "right by itself, wrong where it stands: {runtime} changes it together with its neighbours",
    "accumulates": "right by itself: errors add up before it, and no single node is to blame",
    "unclear": "it could not be converted by itself",
}
_CURVE_LINES = 12


def explanation_view(document: Document) -> RenderableType:
    """The node to blame, how far it is off and its inputs were, and what to do."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("first wrong", Text(document["tensor"], style="red"))
    grid.add_row("node", f"{document['op']} {document['node']!r}")
    if document["source"]:
        grid.add_row("source line", document["source"])
    figures = document["figures"]
    told = ""
    if figures.get("rel_err") is not None and figures.get("cosine") is not None:
        told = f": cosine {cosine_text(figures['cosine'])}, relative error {figures['rel_err']:.2g}"
    grid.add_row("distance", f"{_share(document['strain'])} of the tolerance{told}")
    grid.add_row("before it", f"{_share(document['before'])} of the tolerance")
    grid.add_row("verdict", _KINDS[document["kind"]].format(runtime=document["runtime"]))
    if document["others"]:
        grid.add_row("or else", f"not to be looked at, before it: {', '.join(document['others'])}")
    for way in document["ways_out"]:
        grid.add_row("way out", way)
    if document["kind"] != "accumulates":
        return grid
    table = new_table("tensor", "node", "of the tolerance")
    for point in _thinned(document["curve"]):
        table.add_row(point["tensor"], f"{point['op']} {point['node']}", _share(point["strain"]))
    return Group(grid, table)


def _share(strain: float | None) -> str:
    if strain is None:
        return "all"
    if strain < 0.01:
        return "under 1 %"
    return percent_text(strain) if strain < 10 else f"{strain:,.0f} times"


def _thinned(curve: Sequence[Document]) -> Sequence[Document]:
    step = max(1, -(-len(curve) // _CURVE_LINES))
    return curve[::-1][::step][::-1]
