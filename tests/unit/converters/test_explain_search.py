"""The search for the first tensor that disagrees, on graphs of which everything is known."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import hypothesis
from hypothesis import strategies as st

from edgeflow_converters.explain.search import ancestors, first_disagreeing

Graph = dict[str, list[str]]


def chain(length: int) -> Graph:
    return {f"t{index}": [f"t{index - 1}"] if index else ["x"] for index in range(length)}


class Oracle:
    """Tells which tensors a fault at one of them reaches; some cannot be looked at."""

    def __init__(self, graph: Graph, fault: str, hidden: Sequence[str] = ()) -> None:
        self.wrong = {name for name in graph if name == fault or fault in ancestors(graph, name)}
        self.hidden = set(hidden)
        self.rounds = 0

    def __call__(self, tensors: Sequence[str]) -> Mapping[str, float | None]:
        self.rounds += 1
        return {name: None if name in self.hidden else float(name in self.wrong) for name in tensors}


def found(graph: Graph, fault: str, bad: str, hidden: Sequence[str] = ()) -> tuple[str, tuple[str, ...], int]:
    oracle = Oracle(graph, fault, hidden)
    result = first_disagreeing(list(graph), graph, bad, 9.0, oracle, limit=0.5)
    return result.tensor, result.others, oracle.rounds


def test_a_long_chain_takes_few_rounds() -> None:
    graph = chain(1500)
    for place in (0, 1, 749, 1498, 1499):
        tensor, others, rounds = found(graph, f"t{place}", "t1499")
        assert (tensor, others) == (f"t{place}", ()) and rounds <= 4


def test_the_right_branch_is_left_alone() -> None:
    graph = {"a": ["x"], "l": ["a"], "r": ["a"], "l2": ["l"], "r2": ["r"], "sum": ["l2", "r2"], "y": ["sum"]}
    for fault in graph:
        assert found(graph, fault, "y")[:2] == (fault, ())


def test_what_cannot_be_looked_at_is_told_as_possible_too() -> None:
    graph = chain(40)
    tensor, others, _ = found(graph, "t20", "t39", hidden=["t19", "t20", "t21"])
    assert tensor == "t22" and others == ("t19", "t20", "t21")


@hypothesis.given(st.integers(0, 2**32))
def test_any_graph_and_any_fault_that_reaches_the_output(seed: int) -> None:
    draw = random.Random(seed)
    graph: Graph = {}
    for index in range(draw.randint(1, 60)):
        names = [*list(graph)[-8:], "x"]
        graph[f"t{index}"] = draw.sample(names, min(len(names), draw.randint(1, 3)))
    bad = list(graph)[-1]
    fault = draw.choice([bad, *(name for name in ancestors(graph, bad) if name in graph)])
    assert found(graph, fault, bad)[:2] == (fault, ())
