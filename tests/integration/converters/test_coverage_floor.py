"""What edgeflow makes possible does not get lost: cases of ONNX's own tests that agree here and by no tool
alone.

tests/data/coverage_floor.json holds thirty for each runtime, of as many operators, out of a full run of
`edgeflow coverage --bare`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeflow_converters.coverage import suites
from edgeflow_converters.coverage.book import Book
from edgeflow_converters.coverage.case import AGREES, Ask, Outcome
from edgeflow_converters.coverage.run import Plan, run

FLOOR = json.loads((Path(__file__).parents[2] / "data" / "coverage_floor.json").read_text())


@pytest.mark.network
@pytest.mark.timeout(600)
@pytest.mark.parametrize("runtime", FLOOR)
def test_what_agreed_agrees(runtime: str, tmp_path: Path, tools_root: Path) -> None:
    cases = [case for case in suites.cases("onnx-node") if case.name in FLOOR[runtime]]
    told: list[str] = []

    def listen(name: str, ask: Ask, outcome: Outcome, left: int) -> None:
        told.append(name)
        assert left == len(cases) - len(told)

    ask = Ask(runtime, "fp32")
    book = Book(tmp_path / "book.jsonl", "onnx-node", tools_root)
    results = run(Plan(cases, [ask]), book, tools_root, tmp_path / "scratch", listen)
    assert {name: outcome.why for (name, _), outcome in results.items() if outcome.state != AGREES} == {}
    assert sorted(told) == sorted(FLOOR[runtime])
    # Out of the book, nothing is asked again.
    again = run(
        Plan(cases, [ask]),
        Book(tmp_path / "book.jsonl", "onnx-node", tools_root),
        tools_root,
        tmp_path,
        listen,
    )
    assert {cell: outcome.state for cell, outcome in again.items()} == dict.fromkeys(results, AGREES)
    assert len(told) == len(cases)
