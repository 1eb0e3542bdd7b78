"""What a reader must know before any figure of a report. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_NAMED = 5


def warnings_of(
    documents: Sequence[Mapping[str, Any]], sweep: Mapping[str, Any] | None, thinned: int
) -> list[str]:
    """One line each, the gravest first."""
    return [
        *_unfinished(sweep),
        *_emulated(documents),
        *_not_valid(documents),
        *_ambiguous(documents),
        *_thinned(thinned),
    ]


def _unfinished(sweep: Mapping[str, Any] | None) -> Iterable[str]:
    if sweep is None:
        return
    counts, dropped = sweep["counts"], len(sweep["dropped"])
    if counts["pending"]:
        left = _count(counts["pending"], "job")
        yield f"The sweep is not finished: {left} still to run (edgeflow sweep --resume {sweep['id']})."
    if counts["failed"]:
        yield f"{_count(counts['failed'], 'job')} failed: see “Not measured”."
    if dropped:
        yield f"{_count(dropped, 'cell')} left out before anything ran: see “Not measured”."


def _emulated(documents: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    names = _names(
        document["device"]["name"]
        for document in documents
        if (document["device"].get("facts") or {}).get("emulated")
    )
    if names:
        yield f"Emulated, so that times prove nothing: {names}. Their results are invalid."


def _not_valid(documents: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    states = Counter(str((document.get("validity") or {}).get("state")) for document in documents)
    found = [f"{states[state]} {state}" for state in ("invalid", "suspect") if states[state]]
    if found:
        reasons = Counter(
            # "other load 71 %" and "other load 64 %" are one reason
            re.sub(r"[\d.,]+", "…", str(reason))
            for document in documents
            for reason in (document.get("validity") or {}).get("reasons") or ()
        )
        often = "; ".join(f"{reason} ({count} times)" for reason, count in reasons.most_common(3))
        yield (
            f"Of {_count(len(documents), 'result')}, {' and '.join(found)}: marked wherever they are shown, "
            f"never best, never on a Pareto front. {'Most often: ' + often + '.' if often else ''}".rstrip()
        )


def _ambiguous(documents: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """Names that stand for several things, which no figure may be compared over."""
    models: dict[str, set[str]] = {}
    runtimes: dict[str, set[str]] = {}
    for document in documents:
        models.setdefault(document["model"]["name"], set()).add(str(document["model"].get("sha256")))
        name = f"{document['runtime']['name']} on {document['device']['name']}"
        runtimes.setdefault(name, set()).add(str(document["runtime"].get("version")))
    several = _names(name for name, files in models.items() if len(files) > 1)
    if several:
        yield f"One name, several model files (their SHA-256 differ): {several}."
    mixed = _names(
        f"{name} ({', '.join(sorted(found))})" for name, found in runtimes.items() if len(found) > 1
    )
    if mixed:
        yield f"Several versions of a runtime: {mixed}."


def _thinned(thinned: int) -> Iterable[str]:
    if thinned:
        yield (
            f"Of {_count(thinned, 'long run')}, only every so-many-th raw sample is in this file (each run "
            "says which); all figures are of all samples. `edgeflow results export` has them all."
        )


def _names(names: Iterable[str]) -> str:
    found = sorted(set(names))
    rest = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(found[:_NAMED]) + rest


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
