"""The vocabulary of coverage: a case of a suite, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeflow_converters.tensors import Tensors

AGREES = "agrees"
DECLINED = "declined"
FAILED = "failed"
WRONG = "wrong"
STATES = (AGREES, DECLINED, FAILED, WRONG)
"""agrees: the product's outputs are the suite's. declined: no product, and a diagnosis says why. failed: a
tool crashed, hung or said nothing usable. wrong: a product was handed out whose outputs are not the
suite's."""


@dataclass(frozen=True, slots=True)
class Case:
    """A model, complete input sets, and the outputs that the suite says are right for each.

    `write` puts the model into a folder and returns its file. `inputs` and `expected` are empty where the
    suite has values that are no tensors; `digest` is the hash of all of it.
    """

    name: str
    digest: str
    write: Callable[[Path], Path]
    inputs: Sequence[Tensors]
    expected: Sequence[Tensors]


@dataclass(frozen=True, slots=True)
class Ask:
    """One cell of the table: whom to ask, and how."""

    runtime: str
    precision: str
    bare: bool = False
    """The runtime's own tool on the file as it is, without what edgeflow does before and after."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one case: a state of STATES, why, the kind of error by its class, and how far off it
    was."""

    state: str
    why: str = ""
    kind: str = ""
    rel_err_max: float = 0.0
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "why": self.why,
            "kind": self.kind,
            "rel_err_max": self.rel_err_max,
            "seconds": round(self.seconds, 2),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Outcome:
        return cls(data["state"], data["why"], data["kind"], data["rel_err_max"], data["seconds"])
