"""`edgeflow report` as a person calls it: what it is of, where it goes, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conftest import run_edgeflow
from edgeflow.errors import UsageError
from edgeflow.report.choose import choose
from edgeflow.report.document import report_document
from edgeflow.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence


def data_of(page: Path) -> dict[str, Any]:
    (text,) = re.findall(r'id="report-data">(.*?)</script>', page.read_text(), re.DOTALL)
    found: dict[str, Any] = json.loads(text)
    return found


def document_of(home: Path, *, sweep: str | None = None, results: Sequence[str] = (), **more: Any) -> Any:
    with Store.open(home / "results.db") as store:
        chosen = choose(store, sweep=sweep, results=results, everything=more.pop("everything", False))
        return report_document(chosen, store, **more)


def test_the_newest_sweep_unless_told_otherwise(made: Any, tmp_path: Path) -> None:
    done = run_edgeflow(made.home, tmp_path, "report")
    assert done.code == 0, done.err
    page = tmp_path / "edgeflow-sweep-swp1.html"
    assert str(page) in done.out and done.out.startswith("wrote ")
    assert "1 job failed" in done.err
    data = data_of(page)
    assert data["sweep"]["counts"] == {"ok": len(made.samples), "failed": 1, "pending": 1}
    assert sorted(data["results"]["id"]) == sorted(made.samples)
    reasons = {(found["state"], found["reason"]) for found in data["missing"]}
    assert reasons == {
        ("failed", "rpi4: the worker was killed (signal 9)"),
        ("pending", "not run yet"),
        ("left out", "ncnn does not offer int8 there"),
    }
    assert {found["threads"] for found in data["missing"]} == {2}  # what the device's own count is
    again = run_edgeflow(made.home, tmp_path, "report", "swp", "--json")
    assert again.document["replaced"] is True and again.document["bytes"] == page.stat().st_size


def test_another_file_is_never_replaced(made: Any, tmp_path: Path) -> None:
    mine = tmp_path / "thesis.html"
    mine.write_text("<html>three years of work</html>")
    done = run_edgeflow(made.home, tmp_path, "report", "-o", mine)
    assert done.code == 2 and "is no report of edgeflow" in done.error_line
    assert mine.read_text() == "<html>three years of work</html>"
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.html"]


def test_a_folder_that_is_not_there_is_told(made: Any, tmp_path: Path) -> None:
    done = run_edgeflow(made.home, tmp_path, "report", "-o", tmp_path / "none" / "r.html")
    assert done.code == 2 and "cannot write" in done.error_line


def test_chosen_results_alone(made: Any) -> None:
    document = document_of(made.home, results=[made.invalid, made.sustained, made.invalid])
    assert sorted(document["results"]["id"]) == sorted([made.invalid, made.sustained])
    assert document["sweep"] is None and document["missing"] == []


def test_a_result_where_a_sweep_is_meant(made: Any) -> None:
    with pytest.raises(UsageError, match="is a result, not a sweep") as caught:
        document_of(made.home, sweep=made.invalid)
    assert caught.value.hint == f"edgeflow report --result {made.invalid}"
    with pytest.raises(UsageError, match="no sweep 'zzz'"):
        document_of(made.home, sweep="zzz")
    with pytest.raises(UsageError, match="exclude each other"):
        document_of(made.home, sweep="swp1", everything=True)


def test_nothing_to_report_is_told(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    with pytest.raises(UsageError, match="no sweeps yet"):
        document_of(tmp_path / "home")
    with pytest.raises(UsageError, match="no results yet"):
        document_of(tmp_path / "home", everything=True)


def test_long_runs_are_thinned_and_it_is_told(made: Any) -> None:
    whole = document_of(made.home, everything=True)
    assert set(whole["series"]["every"]) == {1}
    thin = document_of(made.home, everything=True, most_samples=4000)
    row = thin["results"]["id"].index(made.sustained)
    samples = [at for at, found in enumerate(thin["series"]["row"]) if found == row]
    assert thin["series"]["every"][samples[0]] > 1
    assert any("raw sample is in this file" in warning for warning in thin["warnings"])
    assert thin["results"]["n"][row] == 3000
