"""`edgeflow report`: from the store to a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeflow.errors import UsageError
from edgeflow.files import write_atomic
from edgeflow.report.choose import choose
from edgeflow.report.document import report_document
from edgeflow.report.render import is_report, render
from edgeflow.store import Store


def report_file(
    store_path: Path,
    cwd: Path,
    *,
    sweep: str | None,
    results: Sequence[str],
    everything: bool,
    output: Path | None,
) -> dict[str, Any]:
    """Writes the report, whole or not at all, and says where (schema edgeflow.report-file/1).

    An earlier report of that name is replaced; any other file is refused. Raises UsageError.
    """
    with Store.open(store_path) as store:
        chosen = choose(store, sweep=sweep, results=results, everything=everything)
        path = cwd / (output or Path(f"edgeflow-{chosen.name.replace(' ', '-')}.html")).expanduser()
        replaced = _may_replace(path)
        document = report_document(chosen, store)
    data = render(document)
    write_atomic(path, data)
    return {
        "schema": "edgeflow.report-file/1",
        "path": str(path),
        "bytes": len(data),
        "replaced": replaced,
        "of": chosen.name,
        "results": len(chosen.ids),
        "not_measured": len(document["missing"]),
        "warnings": document["warnings"],
    }


def _may_replace(path: Path) -> bool:
    """Whether there is an earlier report. Raises UsageError for anything else of that name."""
    if path.is_dir():
        raise UsageError(f"{path}: is a folder", hint="name a file: --output report.html")
    try:
        if not path.exists():
            return False
        if is_report(path):
            return True
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
    raise UsageError(
        f"{path}: there is a file of that name, and it is no report of edgeflow",
        hint="name another file, or move that one away",
    )
