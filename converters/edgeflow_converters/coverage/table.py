"""What a run of a suite comes to: counts for each cell, and what there is to say of single cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgeflow_converters.coverage.case import AGREES, STATES, Ask, Outcome
from edgeflow_converters.coverage.run import Cell


@dataclass(frozen=True, slots=True)
class Row:
    """One runtime in one precision: how many cases there were, and what became of them, by state. `lost` are
    the cases that the bare tool gets right and edgeflow does not; `bare` its counts; both None where it was
    not asked."""

    ask: Ask
    cases: int
    counts: Mapping[str, int]
    bare: Mapping[str, int] | None = None
    lost: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "runtime": self.ask.runtime,
            "precision": self.ask.precision,
            "cases": self.cases,
            **self.counts,
            "bare": None if self.bare is None else dict(self.bare),
            "lost": None if self.lost is None else list(self.lost),
        }


def rows(results: Mapping[Cell, Outcome], asks: Sequence[Ask]) -> list[Row]:
    """A row for each of `asks` that is not bare."""
    made = []
    for ask in asks:
        if ask.bare:
            continue
        ours = _of(results, ask)
        bare = Ask(ask.runtime, ask.precision, bare=True)
        theirs = _of(results, bare) if bare in asks else None
        lost = None
        if theirs is not None:
            lost = tuple(
                sorted(
                    name
                    for name, outcome in theirs.items()
                    if outcome.state == AGREES and ours[name].state != AGREES
                )
            )
        made.append(Row(ask, len(ours), _counts(ours), None if theirs is None else _counts(theirs), lost))
    return made


def _of(results: Mapping[Cell, Outcome], ask: Ask) -> dict[str, Outcome]:
    return {name: outcome for (name, asked), outcome in results.items() if asked == ask}


def _counts(outcomes: Mapping[str, Outcome]) -> dict[str, int]:
    found = Counter(outcome.state for outcome in outcomes.values())
    return {state: found[state] for state in STATES}
