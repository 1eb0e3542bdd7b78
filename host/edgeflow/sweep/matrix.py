"""From a plan to its cells: what is to be measured, each under an id that is its content. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeflow.errors import UsageError

if TYPE_CHECKING:
    from edgeflow.config.devices import Fleet
    from edgeflow.config.plan import PlanSource, Rule, SweepPlan


class ConversionKey(NamedTuple):
    """What one conversion serves: every device takes the same product."""

    model: str
    runtime: str
    precision: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One deploy of a sweep. `threads` None: the device's own."""

    model: str
    device: str
    runtime: str
    precision: str
    accelerator: str
    threads: int | None
    mode: str

    @property
    def id(self) -> str:
        """Twelve hex digits of what the cell is: the same in every sweep, whatever the plan's order."""
        words = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(words.encode()).hexdigest()[:12]

    @property
    def conversion(self) -> ConversionKey:
        return ConversionKey(self.model, self.runtime, self.precision)

    @property
    def label(self) -> str:
        """What a person calls it, without the device."""
        parts = [self.model, self.runtime, self.precision]
        if self.accelerator != "cpu":
            parts.append(self.accelerator)
        if self.threads is not None:
            parts.append(f"{self.threads} thread{'s' if self.threads > 1 else ''}")
        if self.mode != "quick":
            parts.append(self.mode)
        return " ".join(parts)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Dropped:
    """A cell that will not run, and why."""

    cell: Cell
    reason: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """What a plan comes to: cells in the plan's order, those that are left out, and advice."""

    cells: tuple[Cell, ...]
    dropped: tuple[Dropped, ...] = ()
    notes: tuple[str, ...] = ()
    priorities: dict[str, int] | None = None  # cell id -> priority, where a rule gives one

    def priority(self, cell: Cell) -> int:
        return (self.priorities or {}).get(cell.id, 0)


def expand(plan: SweepPlan, fleet: Fleet, source: PlanSource) -> Matrix:
    """Every cell of the plan once: the product of its lists, with `include` added and `exclude` taken out.

    Raises UsageError, with file and line, for an unknown device or tag and for a plan without a cell.
    """
    names = _devices(plan.devices, fleet, source, ("devices",))
    cells = list(_product(plan, names))
    for index, rule in enumerate(plan.include):
        at: tuple[str | int, ...] = ("include", index)
        chosen = _devices(rule.devices, fleet, source, (*at, "device")) if rule.devices else names
        cells += _product(plan, chosen, rule)
    cells = list(dict.fromkeys(cells))
    kept, dropped, notes = cells, [], []
    for index, rule in enumerate(plan.exclude):
        at = ("exclude", index)
        matching = _matching(rule, kept, fleet, source, at)
        if not matching:
            notes.append(f"{source.place(at)}: exclude: matches no cell")
        reason = f"excluded by the plan: {rule.why or source.place(at)}"
        dropped += [Dropped(cell, reason) for cell in kept if cell in matching]
        kept = [cell for cell in kept if cell not in matching]
    priorities: dict[str, int] = {}
    for index, wanted in enumerate(plan.priorities):
        at = ("priorities", index)
        matching = _matching(wanted, kept, fleet, source, at)
        if not matching:
            notes.append(f"{source.place(at)}: priorities: matches no cell")
        priorities |= {cell.id: wanted.priority for cell in matching}
    _check_tags(plan, fleet, source)
    return Matrix(tuple(kept), tuple(dropped), tuple(notes), priorities)


def stand_ins(plan: SweepPlan, fleet: Fleet) -> dict[str, tuple[str, ...]]:
    """Device -> those of the plan that may take its jobs: the plan calls a tag that they share
    interchangeable.
    """
    names = [spec.name for spec in fleet.select(plan.devices)]
    tags = {name: set(fleet.devices[name].tags) & set(plan.interchangeable) for name in names}
    return {
        name: tuple(other for other in names if other != name and tags[other] & tags[name]) for name in names
    }


def _product(plan: SweepPlan, devices: Sequence[str], rule: Rule | None = None) -> Iterator[Cell]:
    """The rule's values, and the plan's where the rule is silent. Devices vary first: all begin at once."""

    def of(name: str) -> Sequence[Any]:
        own: Sequence[Any] = getattr(rule, name) if rule is not None else ()
        return own or tuple(getattr(plan, name))

    for mode, accelerator, model, runtime, precision, threads, device in product(
        of("modes"), of("accelerators"), of("models"), of("runtimes"), of("precisions"),
        of("threads") or (None,), devices,
    ):  # fmt: skip
        yield Cell(model, device, runtime, precision, accelerator, threads, mode)


def _matching(
    rule: Rule, cells: Iterable[Cell], fleet: Fleet, source: PlanSource, at: tuple[str | int, ...]
) -> set[Cell]:
    devices = _devices(rule.devices, fleet, source, (*at, "device")) if rule.devices else ()
    return {
        cell
        for cell in cells
        if (not rule.models or any(fnmatchcase(cell.model, pattern) for pattern in rule.models))
        and (not rule.devices or cell.device in devices)
        and (not rule.runtimes or cell.runtime in rule.runtimes)
        and (not rule.precisions or cell.precision in rule.precisions)
        and (not rule.threads or cell.threads in rule.threads)
        and (not rule.accelerators or cell.accelerator in rule.accelerators)
        and (not rule.modes or cell.mode in rule.modes)
    }


def _devices(
    words: Sequence[str], fleet: Fleet, source: PlanSource, at: tuple[str | int, ...]
) -> tuple[str, ...]:
    try:
        return tuple(spec.name for spec in fleet.select(words))
    except UsageError as error:
        raise source.error(at, error.message, hint=error.hint) from error


def _check_tags(plan: SweepPlan, fleet: Fleet, source: PlanSource) -> None:
    known = sorted({tag for spec in fleet.devices.values() for tag in spec.tags})
    for index, tag in enumerate(plan.interchangeable):
        if tag not in known:
            message = f"no device has the tag '{tag}' (tags: {', '.join(known) or 'none'})"
            raise source.error(("interchangeable", index), message)
