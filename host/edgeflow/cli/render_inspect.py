"""What `edgeflow inspect` found, for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgeflow.cli.tables import new_table
from edgeflow.cli.units import bytes_text, count_text

Document = Mapping[str, Any]
_SHOWN = 12


def inspect_view(document: Document, *, every: bool = False) -> RenderableType:
    """The files of a document of schema edgeflow.inspect/1; of inner tensors the largest, or `every` one."""
    parts: list[RenderableType] = []
    if document["artifact"] is not None:
        parts.append(_grid(_artifact_rows(document["path"], document["artifact"])))
    for file in document["files"]:
        parts += [""] if parts else []
        parts += _file(file, every)
    return Group(*parts)


def _artifact_rows(path: str, about: Document) -> list[tuple[str, str]]:
    numerics = about["numerics"]
    return [
        ("artifact", path),
        ("runtime", f"{about['runtime']} {about['precision']}"),
        ("precision", f"weights {about['weights_dtype']}, compute {about['compute_dtype']}"),
        ("numerics", f"{numerics['verdict']}, {count_text(numerics['samples'], 'input')}"),
        ("tools", ", ".join(f"{name} {value}" for name, value in about["tools"].items())),
        *(("note", note) for note in about["notes"]),
    ]


def _file(file: Document, every: bool) -> list[RenderableType]:
    rows = [
        ("file", f"{file['name']}  {bytes_text(file['size_bytes'])}"),
        ("format", f"{file['format']} {file['version']}".strip()),
        ("producer", file["producer"] or "not told"),
        ("parameters", bytes_text(file["parameters_bytes"])),
    ]
    for kind in ("inputs", "outputs"):
        rows.append((kind, "\n".join(f"{t['name']}  {_type(t)}" for t in file[kind]) or "none"))
    if file["operators"] is not None:
        each = ", ".join(f"{count} {kind}" for kind, count in file["operators"].items())
        rows.append(("operators", f"{file['operator_total']}: {each}"))
    if file["not_listed"]:
        rows.append(("not listed", "; ".join(file["not_listed"])))
    rows += [("note", note) for note in file["notes"]]
    inside = [tensor for tensor in file["tensors"] if tensor["kind"] not in ("input", "output")]
    if not inside:
        return [_grid(rows)]
    inside.sort(key=lambda tensor: -int(tensor["size_bytes"]))
    table = new_table("tensor", "kind", "type", "size")
    for tensor in inside if every else inside[:_SHOWN]:
        size = bytes_text(tensor["size_bytes"]) if tensor["size_bytes"] else ""
        table.add_row(Text(tensor["name"]), tensor["kind"], Text(_type(tensor)), size)
    more = len(inside) - table.row_count
    return [_grid(rows), "", table, *([f"and {count_text(more, 'tensor')} more: --tensors"] if more else [])]


def _type(tensor: Document) -> str:
    shape = ", ".join("?" if axis is None else str(axis) for axis in tensor["shape"])
    return f"{tensor['dtype']}[{shape}]"


def _grid(rows: Iterable[tuple[str, str]]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(name, Text(value))
    return grid
