"""`edgeflow compare`: two sides, cell by cell, and whether the second may pass."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from edgeflow.compare.sides import CellKey, Measured, Side, side_of
from edgeflow.compare.stats import SEED, Difference, difference
from edgeflow.errors import UsageError
from edgeflow.store import Store, SweepBook

SCHEMA = "edgeflow.compare/1"
Verdict = Literal["slower", "faster", "same"]


def compare_document(
    a: str,
    b: str,
    store_path: Path,
    cwd: Path,
    *,
    fail_on: float | None,
    allow_missing: bool,
    require_valid: bool = False,
) -> dict[str, Any]:
    """B against A (schema edgeflow.compare/1). With `fail_on` (0.05 is 5 %) `failures` says what keeps B from
    passing: cells that are slower by more than that and for certain, and cells of A that B lacks. With
    `require_valid` also cells of which a side rests on a result that is not valid.

    Raises UsageError for sides that cannot be read, that are one and the same, or that share no cell.
    """
    with Store.open(store_path) as store:
        book = SweepBook(store)
        first, second = (side_of(what, store, book, cwd) for what in (a, b))
    if first.name == second.name:
        raise UsageError(f"'{a}' and '{b}' are both {first.name}: nothing to compare")
    keys = [key for key in first.cells if key in second.cells]
    if not keys:
        raise UsageError(
            f"{first.name} and {second.name} share no cell",
            hint="the same model, device, runtime, precision, accelerator, threads and mode are compared",
        )
    cells = [_cell(key, first.cells[key], second.cells[key]) for key in keys]
    only_a = [_alone(key, second) for key in first.cells if key not in second.cells]
    only_b = [_alone(key, first) for key in second.cells if key not in first.cells]
    failures = [] if fail_on is None else _failures(cells, only_a, fail_on, allow_missing=allow_missing)
    if require_valid:
        failures += [f"{_name(cell)}: rests on {cell['doubt']}" for cell in cells if cell["doubt"]]
    return {
        "schema": SCHEMA,
        "a": first.name,
        "b": second.name,
        "seed": SEED,
        "fail_on": fail_on,
        "cells": cells,
        "only_a": only_a,
        "only_b": only_b,
        "failures": failures,
    }


def verdict_of(found: Difference) -> Verdict:
    """`same` where the interval holds zero, or is not known."""
    if found.ci95 is None or found.ci95[0] <= 0.0 <= found.ci95[1]:
        return "same"
    return "slower" if found.change > 0 else "faster"


def _cell(key: CellKey, a: Measured, b: Measured) -> dict[str, Any]:
    found = difference(a.samples, b.samples)
    return {
        **key._asdict(),
        "a": _figures(a, found.a_median_ns),
        "b": _figures(b, found.b_median_ns),
        "change": found.change,
        "ci95": None if found.ci95 is None else list(found.ci95),
        "paired": found.paired,
        "verdict": verdict_of(found),
        "doubt": _doubt(a, b),
    }


def _doubt(a: Measured, b: Measured) -> str:
    """What a difference of these two rests on beside valid results; empty where all are valid."""
    told = []
    for name, side in (("A", a), ("B", b)):
        worst = next((state for state in ("invalid", "suspect") if state in side.validity), None)
        if worst is not None:
            told.append(f"{worst} results of {name}")
    return " and ".join(told)


def _figures(measured: Measured, median_ns: float) -> dict[str, Any]:
    return {
        "results": measured.ids,
        "median_ms": median_ns / 1e6,
        "samples": sum(len(samples) for samples in measured.samples),
        "validity": measured.validity,
    }


def _alone(key: CellKey, other: Side) -> dict[str, Any]:
    return {**key._asdict(), "reason": other.missing.get(key, "")}


def _failures(
    cells: Sequence[dict[str, Any]],
    only_a: Sequence[dict[str, Any]],
    fail_on: float,
    *,
    allow_missing: bool,
) -> list[str]:
    found = [
        f"{_name(cell)}: {cell['change'] * 100:+.1f} % (95 % interval {cell['ci95'][0] * 100:+.1f} % to "
        f"{cell['ci95'][1] * 100:+.1f} %)"
        for cell in cells
        if cell["verdict"] == "slower" and cell["change"] > fail_on
    ]
    if not allow_missing:
        found += [
            f"{_name(cell)}: B has no result" + (f": {cell['reason']}" if cell["reason"] else "")
            for cell in only_a
        ]
    return found


def _name(cell: dict[str, Any]) -> str:
    count = cell["threads"]
    threads = f", {count} thread{'' if count == 1 else 's'}" if count else ""
    return f"{cell['model']} on {cell['device']} with {cell['runtime']} {cell['precision']}{threads}"
