"""What a report is of: a sweep, named results, or all that there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeflow.errors import UsageError
from edgeflow.store import SweepBook
from edgeflow.sweep.documents import sweep_json

if TYPE_CHECKING:
    from edgeflow.store import Store, SweepRow


@dataclass(frozen=True, slots=True)
class Chosen:
    """Ids of results, the oldest first; where they are of one sweep, its document and its plan."""

    name: str
    ids: Sequence[str]
    sweep: Mapping[str, Any] | None = None
    plan: Mapping[str, Any] | None = None


def choose(store: Store, *, sweep: str | None, results: Sequence[str], everything: bool) -> Chosen:
    """The choice that the command line's words make; none of them: the newest sweep. Raises UsageError."""
    if sum((sweep is not None, bool(results), everything)) > 1:
        raise UsageError("a sweep, --result and --all exclude each other", hint="leave all but one out")
    book = SweepBook(store)
    if everything:
        rows = store.list({}, limit=None)
        if not rows:
            raise UsageError("there are no results yet", hint="`edgeflow deploy` makes the first one")
        ids = [row.id for row in rows][::-1]
        return Chosen("all results", ids)
    if results:
        documents = {found["result_id"]: found for found in map(store.get, results)}
        ids = sorted(documents, key=lambda found: str(documents[found]["started_at"]))
        return Chosen("chosen results", ids)
    row = _sweep(sweep or "last", store, book)
    ids = [result.id for result in store.list({"sweep": row.id}, limit=None)][::-1]
    return Chosen(f"sweep {row.id}", ids, sweep_json(row.id, store, book), row.plan)


def _sweep(word: str, store: Store, book: SweepBook) -> SweepRow:
    try:
        return book.find(word)
    except UsageError as error:
        if word == "last":
            raise UsageError(
                "there are no sweeps yet", hint="`edgeflow sweep` makes one; --all reports single results"
            ) from error
        if error.message.startswith("no sweep "):
            try:
                found = store.get(word)["result_id"]
            except UsageError:
                raise error from None
            raise UsageError(
                f"'{word}' is a result, not a sweep", hint=f"edgeflow report --result {found}"
            ) from error
        raise
