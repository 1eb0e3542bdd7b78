"""What is compared: a result, a sweep, or a file that `edgeflow results export --format json` wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeflow.errors import UsageError
from edgeflow.store.store import SAMPLES

if TYPE_CHECKING:
    from edgeflow.store import ResultRow, Store, SweepBook


class CellKey(NamedTuple):
    """What two results must share to be compared."""

    model: str
    device: str
    runtime: str
    precision: str
    accelerator: str | None
    threads: int | None
    mode: str | None


@dataclass(slots=True)
class Measured:
    """A cell's rounds: ids and raw samples, in the order in which they were taken."""

    ids: list[str] = field(default_factory=list)
    samples: list[Sequence[int]] = field(default_factory=list)
    validity: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Side:
    """One of two things to compare. `missing`: cells of a sweep that have no result, with the reason."""

    name: str
    cells: Mapping[CellKey, Measured]
    missing: Mapping[CellKey, str] = field(default_factory=dict)


def side_of(what: str, store: Store, book: SweepBook, cwd: Path) -> Side:
    """The side that a word of the command line names.

    A file where there is one of that name; else a sweep's id, a result's id, the beginning of one, or "last":
    the newest result, with its whole sweep where it is of one. Raises UsageError.
    """
    path = cwd / Path(what).expanduser()
    if path.is_file():
        return _of_file(path, what)
    if what != "last" and book.exists(what):
        return _of_sweep(book.find(what).id, store, book)
    try:
        result_id = store.get(what)["result_id"]
    except UsageError as error:
        if error.message.startswith("no result "):
            raise UsageError(
                f"'{what}' is no sweep, no result and no file",
                hint="`edgeflow results list` shows ids; a file comes from `edgeflow results export -f json`",
            ) from error
        raise
    rows = [row for row in store.list({}, limit=None) if row.id == result_id]
    if what == "last" and rows[0].sweep is not None and book.exists(rows[0].sweep):
        return _of_sweep(rows[0].sweep, store, book)
    return Side(result_id, _measured(rows, store))


def _of_sweep(sweep_id: str, store: Store, book: SweepBook) -> Side:
    rows = list(store.list({"sweep": sweep_id}, limit=None))
    cells = _measured(rows[::-1], store)
    names = _model_names(rows, book.jobs(sweep_id))
    missing = {}
    for job in book.jobs(sweep_id):
        if job.status == "ok":
            continue
        cell = job.cell
        key = CellKey(
            names.get(cell["model"], cell["model"].removeprefix("zoo:")), cell["device"], cell["runtime"],
            cell["precision"], cell["accelerator"], cell["threads"], cell["mode"],
        )  # fmt: skip
        if key not in cells:
            missing[key] = job.error["message"] if job.error else "not run yet"
    return Side(f"sweep {sweep_id}", cells, missing)


def _model_names(rows: Sequence[ResultRow], jobs: Sequence[Any]) -> dict[str, str]:
    """What results call each model of a sweep's plan."""
    by_id = {row.id: row.model for row in rows}
    return {job.cell["model"]: by_id[job.result_id] for job in jobs if job.result_id in by_id}


def _measured(rows: Sequence[ResultRow], store: Store) -> dict[CellKey, Measured]:
    samples = store.samples_of(row.id for row in rows)
    cells: dict[CellKey, Measured] = {}
    for row in rows:
        if row.id not in samples:
            continue
        key = CellKey(
            row.model, row.device, row.runtime, row.precision, row.accelerator, row.threads, row.mode
        )
        _add(cells, key, row.id, samples[row.id], row.validity or "")
    return cells


def _of_file(path: Path, name: str) -> Side:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{name}: not a file of exported results ({error})") from error
    schema = document.get("schema") if isinstance(document, dict) else None
    results = document.get("results") if schema == "edgeflow.results/1" else None
    if schema == "edgeflow.result/1":
        results = [document]
    if not isinstance(results, list):
        raise UsageError(
            f"{name}: not a file of exported results (schema {schema!r})",
            hint="edgeflow results export --format json --output FILE, or deploy --json > FILE",
        )
    cells: dict[CellKey, Measured] = {}
    try:
        for result in results:
            key = CellKey(
                result["model"]["name"], result["device"]["name"], result["runtime"]["name"],
                result["precision"]["name"], result["runtime"].get("accelerator"), result["threads"],
                result.get("mode"),
            )  # fmt: skip
            _add(cells, key, result["result_id"], result[SAMPLES], result["validity"]["state"])
    except (KeyError, TypeError) as error:
        raise UsageError(f"{name}: a result without {error}") from error
    return Side(name, cells)


def _add(
    cells: dict[CellKey, Measured], key: CellKey, result_id: str, samples: Sequence[int], validity: str
) -> None:
    measured = cells.setdefault(key, Measured())
    measured.ids.append(result_id)
    measured.samples.append(samples)
    measured.validity.append(validity)
