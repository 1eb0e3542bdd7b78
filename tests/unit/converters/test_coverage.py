"""Coverage without converters: how outcomes are judged, kept and counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow_converters.coverage import book, suites
from edgeflow_converters.coverage.book import Book
from edgeflow_converters.coverage.case import AGREES, DECLINED, FAILED, WRONG, Ask, Case, Outcome
from edgeflow_converters.coverage.judge import compared
from edgeflow_converters.coverage.run import matching
from edgeflow_converters.coverage.table import rows
from edgeflow_converters.errors import ModelUnreadable, UnknownTarget

RIGHT = np.array([[1.0, -2.0, 0.0], [4.0, 1e-6, 3.0]], np.float32)
NCNN = Ask("ncnn", "fp32")
BARE = Ask("ncnn", "fp32", bare=True)


@pytest.mark.parametrize(
    ("got", "state"),
    [
        (RIGHT, AGREES),
        (RIGHT * np.float32(1.0005), AGREES),
        (RIGHT + np.float32(2e-3), AGREES),  # of the largest, 4: less than a thousandth
        (RIGHT * np.float32(1.01), WRONG),
        (RIGHT + np.float32(2e-2), WRONG),
        (RIGHT.T.copy(), WRONG),
        (RIGHT.reshape(3, 2), WRONG),
        (np.where(RIGHT == 4, np.nan, RIGHT), WRONG),
        (np.where(RIGHT == 4, np.inf, RIGHT), WRONG),
        (np.zeros_like(RIGHT), WRONG),
    ],
)
def test_floats_are_judged_by_their_size(got: Any, state: str) -> None:
    assert compared({"y": RIGHT}, {"y": got}, 1e-3).state == state


def test_infinities_and_nan_belong_where_they_are() -> None:
    right = np.array([np.nan, np.inf, -np.inf, 1.0])
    assert compared({"y": right}, {"y": right.copy()}, 1e-3).state == AGREES
    assert compared({"y": right}, {"y": np.array([np.nan, np.inf, np.inf, 1.0])}, 1e-3).state == WRONG
    assert compared({"y": right}, {"y": np.array([0.0, np.inf, -np.inf, 1.0])}, 1e-3).state == WRONG


@pytest.mark.parametrize(
    ("right", "got", "state"),
    [
        (np.array([1, 2, 300]), np.array([1, 2, 300], np.int32), AGREES),
        (np.array([1, 2, 300]), np.array([1, 2, 301]), WRONG),
        (np.array([True, False]), np.array([True, False]), AGREES),
        (np.array([True, False]), np.array([True, True]), WRONG),
        (np.array(["a", "b"]), np.array(["a", "b"]), AGREES),
        (np.array(["a", "b"]), np.array(["a", "c"]), WRONG),
    ],
)
def test_whole_numbers_and_words_are_the_same_or_wrong(right: Any, got: Any, state: str) -> None:
    assert compared({"y": right}, {"y": got}, 1e-3).state == state


def test_an_output_that_is_missing_is_wrong() -> None:
    outcome = compared({"y": RIGHT, "z": RIGHT}, {"y": RIGHT}, 1e-3)
    assert (outcome.state, outcome.why) == (WRONG, "there is no output 'z'")


def case(name: str, digest: str = "") -> Case:
    return Case(name, digest or name, lambda folder: folder / "model.onnx", (), ())


def test_a_book_tells_what_it_was_told(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "book.jsonl"
    outcome = Outcome(WRONG, "it is off", "", 0.25, 1.5)
    Book(path, "suite", tmp_path).add(case("a"), NCNN, outcome)
    with path.open("a") as stream:
        stream.write('{"suite": "suite", "case": "b", "key')  # a run that was killed
    again = Book(path, "suite", tmp_path)
    assert again.find(case("a"), NCNN) == outcome
    assert again.find(case("b"), NCNN) is None
    assert again.find(case("a"), BARE) is None
    assert again.find(case("a", digest="another model"), NCNN) is None
    told = json.loads(path.read_text().splitlines()[0])
    assert (told["case"], told["runtime"], told["bare"], told["state"]) == ("a", "ncnn", False, WRONG)


def test_what_was_asked_of_other_versions_counts_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Book(tmp_path / "book", "suite", tmp_path)
    for ask in (NCNN, BARE):
        first.add(case("a"), ask, Outcome(AGREES))
    monkeypatch.setattr(book, "_own_code", lambda: "another")
    own = Book(tmp_path / "book", "suite", tmp_path)
    assert own.find(case("a"), NCNN) is None
    assert own.find(case("a"), BARE) == Outcome(AGREES)  # in which nothing of ours takes part
    monkeypatch.setattr(Book, "versions", lambda self, runtime: {"ncnn": "another"})
    assert Book(tmp_path / "book", "suite", tmp_path).find(case("a"), BARE) is None


def test_a_table_counts_and_names_what_the_bare_tool_alone_gets_right() -> None:
    results = {
        ("a", NCNN): Outcome(AGREES), ("b", NCNN): Outcome(DECLINED), ("c", NCNN): Outcome(FAILED),
        ("a", BARE): Outcome(AGREES), ("b", BARE): Outcome(AGREES), ("c", BARE): Outcome(WRONG),
    }  # fmt: skip
    (row,) = rows(results, [BARE, NCNN])
    assert dict(row.counts) == {AGREES: 1, DECLINED: 1, FAILED: 1, WRONG: 0}
    assert row.bare == {AGREES: 2, DECLINED: 0, FAILED: 0, WRONG: 1}
    assert row.lost == ("b",)
    (alone,) = rows(results, [NCNN])
    assert alone.bare is None and alone.lost is None


def test_cases_are_chosen_by_patterns() -> None:
    found = [case("test_conv"), case("test_conv_pads"), case("test_gru")]
    assert [each.name for each in matching(found, ["test_conv*"])] == ["test_conv", "test_conv_pads"]
    assert matching(found, []) == found


def test_a_folder_is_a_suite(tmp_path: Path) -> None:
    (tmp_path / "small").symlink_to(suites._carried() / "simple")
    names = [each.name for each in suites.cases(str(tmp_path / "small"))]
    assert "test_expand_shape_model2" in names
    with pytest.raises(ModelUnreadable, match="holds no case"):
        suites.cases(str(tmp_path))
    with pytest.raises(UnknownTarget, match="there is no suite 'nothing'"):
        suites.cases("nothing")


def test_onnx_node_is_the_same_each_time() -> None:
    first, second = ({each.name: each.digest for each in suites.cases("onnx-node")} for _ in range(2))
    assert len(first) >= 1404 and not any("_expanded" in name for name in first)
    assert first == second
