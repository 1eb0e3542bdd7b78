"""Which tensor is the first that disagrees: a search over the graph that measures few of them. Pure.

A tensor disagrees first if all that its node reads agrees. Each round measures some tensors among those that
may be it: a tensor that disagrees leaves only what comes before it, one that agrees takes out what comes
before it. Several a round, as a round costs a conversion whatever the number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

WIDTH = 7

Measure = Callable[[Sequence[str]], Mapping[str, float | None]]
"""Tensors -> how far each is from right, None where that cannot be told. It may leave some out, not all."""


@dataclass(frozen=True, slots=True)
class Found:
    """`tensor` disagrees; so may, unmeasured, the `others`, which come before it. `strains` is all that was
    measured, in the graph's order."""

    tensor: str
    others: tuple[str, ...]
    strains: Mapping[str, float]


def ancestors(reads: Mapping[str, Sequence[str]], tensor: str) -> set[str]:
    """All that `tensor` is computed from; `reads`: tensor -> what its node reads."""
    found: set[str] = set()
    waiting = [tensor]
    while waiting:
        for name in reads.get(waiting.pop(), ()):
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found


def first_disagreeing(
    order: Sequence[str],
    reads: Mapping[str, Sequence[str]],
    bad: str,
    strain: float,
    measure: Measure,
    *,
    limit: float,
    width: int = WIDTH,
) -> Found:
    """From `bad`, which is `strain` from right, back to the first tensor that is more than `limit` from it.

    `order` are all tensors that nodes compute, each after what it is computed from.
    """
    place = {name: index for index, name in enumerate(order)}
    strains: dict[str, float | None] = {bad: strain}
    candidates = {name for name in ancestors(reads, bad) if name in place}
    while True:
        open_ = sorted((name for name in candidates if name not in strains), key=place.__getitem__)
        if not open_:
            break
        measured = measure(_spread(open_, width))
        strains.update(measured)
        wrong = [name for name, value in measured.items() if value is not None and value > limit]
        if wrong:
            bad = min(wrong, key=place.__getitem__)
            candidates &= ancestors(reads, bad)
        for name, value in measured.items():
            if value is not None and value <= limit and name in candidates:
                candidates -= ancestors(reads, name) | {name}
    others = sorted((name for name in candidates if strains.get(name) is None), key=place.__getitem__)
    known = {name: value for name, value in strains.items() if value is not None}
    return Found(bad, tuple(others), {name: known[name] for name in order if name in known})


def _spread(names: Sequence[str], count: int) -> list[str]:
    """At most `count` of the names, which cut the list into equal parts."""
    if len(names) <= count:
        return list(names)
    return [names[(index + 1) * len(names) // (count + 1)] for index in range(count)]
