"""The nearest known name to a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` most likely meant, or None when nothing is near.

    Upper and lower case count as equal; the only name that begins so, else the ratio of matching characters
    per `difflib`.
    """
    by_folded = {candidate.casefold(): candidate for candidate in known}
    longer = [folded for folded in by_folded if len(name) > 2 and folded.startswith(name.casefold())]
    if len(longer) == 1:
        return by_folded[longer[0]]
    found = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str], *, label: str = "known") -> str:
    """A phrase for the end of an error: `did you mean 'x'?`, else the list of the known names."""
    names = list(known)
    match = nearest(name, names)
    listing = f"{label}: {', '.join(names) or 'none'}"
    return f"did you mean '{match}'? ({listing})" if match else listing
