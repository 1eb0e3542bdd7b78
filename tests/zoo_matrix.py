"""The whole zoo on every runtime in every precision, judged from outside (outside.py): never wrong.

    python tests/zoo_matrix.py RESULTS.jsonl [--models a,b] [--runtimes r,s] [--precisions p,q] [--table]

Takes more than an hour from nothing. One line for each cell as it is judged; started again, it goes on after
the last one. Ends with the table of docs/status.md, and exit code 1 if any cell is wrong. EDGEFLOW_HOME keeps
the products.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import outside
from edgeflow.workspace import Workspace
from edgeflow_converters.precision import OFFERED

Lines = Mapping[tuple[str, str, str], Mapping[str, Any]]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("--models", default=",".join(outside.NAMES))
    parser.add_argument("--runtimes", default=",".join(outside.RUNTIMES))
    parser.add_argument("--precisions", default=",".join(outside.PRECISIONS))
    parser.add_argument("--table", action="store_true", help="only print the table of what is there")
    options = parser.parse_args()
    cells = [
        (model, runtime, precision)
        for model in options.models.split(",")
        for precision in options.precisions.split(",")
        for runtime in options.runtimes.split(",")
        if (runtime, precision) in OFFERED
    ]
    done = read(options.results)
    for cell in [] if options.table else cells:
        if cell in done:
            continue
        begun = time.monotonic()
        verdict = outside.judge_cell(*cell, Workspace.default())
        line = {"cell": cell, **asdict(verdict), "seconds": round(time.monotonic() - begun, 1)}
        with options.results.open("a") as out:
            out.write(json.dumps(line) + "\n")
        print(f"{' '.join(cell)}: {verdict.state} {verdict.worst:.2g} {verdict.why}", flush=True)
    done = read(options.results)
    print(table(done))
    return 1 if any(line["state"] in ("wrong", "failed") for line in done.values()) else 0


def read(path: Path) -> Lines:
    """What is judged already; a last line that was cut off counts for nothing."""
    found: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    for text in path.read_text().splitlines() if path.is_file() else []:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        model, runtime, precision = line["cell"]
        found[model, runtime, precision] = line
    return found


def table(lines: Lines) -> str:
    """A row for each model, a column for each runtime: what became of each precision, in their order."""
    rows = [
        f"| model | {' | '.join(outside.RUNTIMES)} |",
        "|---|" + "---|" * len(outside.RUNTIMES),
    ]
    for model in outside.NAMES:
        told = [
            " ".join(shown(lines.get((model, runtime, precision))) for precision in outside.PRECISIONS)
            for runtime in outside.RUNTIMES
        ]
        rows.append(f"| {model} | {' | '.join(told)} |")
    return "\n".join(rows)


def shown(line: Mapping[str, Any] | None) -> str:
    """`-` was not asked or is not offered; a figure is right; d declined."""
    if line is None:
        return "-"
    figure = f"{line['worst']:.0e}".replace("e-0", "e-")
    return {"declined": "d", "wrong": "WRONG", "failed": "failed"}.get(line["state"], figure)


if __name__ == "__main__":
    sys.exit(main())
