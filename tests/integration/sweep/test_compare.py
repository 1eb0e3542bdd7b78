"""`edgeflow compare` as a gate, over stores and files with results whose truth is known."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgeflow.bench.stats import summarize
from edgeflow.store import JobRow, Store, SweepBook, SweepRow, new_result_id

if TYPE_CHECKING:
    from conftest import Bench


def result(model: str, device: str, samples: list[int], sweep: str, repeat: int = 1) -> dict[str, Any]:
    return {
        "schema": "edgeflow.result/1", "result_id": new_result_id(), "status": "ok",
        "started_at": "2026-11-22T10:00:00.000+00:00", "elapsed_s": 2.0, "mode": "quick",
        "device": {"name": device, "transport": "local", "facts": {"emulated": False, "os": "linux"}},
        "runtime": {"name": "ncnn", "version": "1.0", "accelerator": "cpu", "options": {}},
        "precision": {"name": "fp32", "weights": "fp32", "compute": "fp32"}, "threads": 2,
        "model": {"name": model, "sha256": "ab", "size_bytes": 7},
        "latency_ms": summarize(samples).to_json(), "numerics": {"verdict": "pass"},
        "validity": {"state": "valid", "reasons": []},
        "sweep": {"id": sweep, "cell": f"{model}-{device}", "repeat": repeat},
    }  # fmt: skip


def filled(home: Path, sweep: str, factors: dict[str, float], repeats: int = 2, seed: int = 1) -> None:
    """A sweep whose cells are as slow as `factors` says; None of a result for a factor of 0."""
    generator = np.random.default_rng(seed)
    with Store.open(home / "results.db") as store:
        book = SweepBook(store)
        rows = [
            JobRow(f"{model}-d", repeat, index, {
                "model": f"zoo:{model}", "device": "d", "runtime": "ncnn", "precision": "fp32",
                "accelerator": "cpu", "threads": 2, "mode": "quick",
            }, "pending", "d")
            for repeat in range(1, repeats + 1) for index, model in enumerate(factors)
        ]  # fmt: skip
        book.begin(
            SweepRow(sweep, "2026", None, None, "0", "/", None, {}, {"notes": [], "dropped": []}, {}), rows
        )
        for repeat in range(1, repeats + 1):
            for model, factor in factors.items():
                if not factor:
                    book.settle(sweep, f"{model}-d", repeat, status="failed", device="d", attempts=1,
                                error={"kind": "agent", "message": "d: crashed", "hint": ""})  # fmt: skip
                    continue
                samples = [round(value) for value in 1e6 * factor * generator.lognormal(0, 0.02, 100)]
                document = result(model, "d", samples, sweep, repeat)
                commit = book.finisher(
                    sweep, f"{model}-d", repeat,
                    device="d", attempts=1, result_id=document["result_id"],
                )  # fmt: skip
                store.add(document, {"samples_ns": samples}, also=commit)


@pytest.fixture
def two_sweeps(bench: Bench) -> Bench:
    filled(bench.home, "aaaa", {"same": 1.0, "slower": 1.0, "faster": 1.0}, seed=1)
    filled(bench.home, "bbbb", {"same": 1.0, "slower": 1.12, "faster": 0.8}, seed=2)
    return bench


def test_the_same_cells_are_compared_and_the_gate_fails_for_a_reason(two_sweeps: Bench) -> None:
    done = two_sweeps.edgeflow("compare", "aaaa", "bbbb", "--fail-on", "5%", "--json")
    assert done.code == 1
    verdicts = {cell["model"]: cell["verdict"] for cell in done.document["cells"]}
    assert verdicts == {"same": "same", "slower": "slower", "faster": "faster"}
    (cell,) = [cell for cell in done.document["cells"] if cell["model"] == "slower"]
    assert cell["change"] == pytest.approx(0.12, abs=0.02)
    assert cell["paired"]
    assert len(cell["a"]["results"]) == 2
    assert len(done.document["failures"]) == 1
    assert "slower on d with ncnn fp32" in done.err
    assert two_sweeps.edgeflow("compare", "aaaa", "bbbb", "--fail-on", "20%").code == 0
    assert two_sweeps.edgeflow("compare", "aaaa", "bbbb").code == 0


def test_a_cell_that_stopped_working_does_not_pass(two_sweeps: Bench) -> None:
    filled(two_sweeps.home, "cccc", {"same": 1.0, "slower": 0.0, "faster": 1.0}, seed=3)
    done = two_sweeps.edgeflow("compare", "aaaa", "cccc", "--fail-on", "5", "--json")
    assert done.code == 1
    assert [(cell["model"], cell["reason"]) for cell in done.document["only_a"]] == [("slower", "d: crashed")]
    assert two_sweeps.edgeflow("compare", "aaaa", "cccc", "--fail-on", "5", "--allow-missing").code == 0


def test_exported_files_and_last_are_sides_too(two_sweeps: Bench) -> None:
    exported = two_sweeps.edgeflow("results", "export", "-f", "json", "--sweep", "aaaa", "-o", "base.json")
    assert exported.code == 0, exported.err
    assert len(json.loads((two_sweeps.folder / "base.json").read_text())["results"]) == 6
    by_file = two_sweeps.edgeflow("compare", "base.json", "last", "--json").document["cells"]
    by_id = two_sweeps.edgeflow("compare", "aaaa", "bbbb", "--json").document["cells"]
    assert by_file == by_id, "the same samples, the same answer"
    (two_sweeps.folder / "other.json").write_text("{}")
    refused = two_sweeps.edgeflow("compare", "other.json", "last")
    assert (refused.code, "not a file of exported results" in refused.error_line) == (2, True)


def test_markdown_is_for_a_pull_request(two_sweeps: Bench) -> None:
    done = two_sweeps.edgeflow("compare", "aaaa", "bbbb", "--markdown")
    assert done.out.startswith("**A sweep aaaa  B sweep bbbb: 3 cells: 1 slower, 1 faster, 1 same**")
    assert "| model | A | B | difference | 95 % interval | verdict |" in done.out
    assert "<details>" in done.out


def test_what_rests_on_results_that_are_not_valid_is_marked_and_can_be_refused(two_sweeps: Bench) -> None:
    sides: list[str] = []
    with Store.open(two_sweeps.home / "results.db") as store:
        for factor, state in ((1.0, "valid"), (1.2, "invalid")):
            generator = np.random.default_rng(3)
            samples = [round(value) for value in 1e6 * factor * generator.lognormal(0, 0.02, 100)]
            document = result("doubtful", "d", samples, f"{state}-one")
            document["validity"] = {
                "state": state,
                "reasons": [] if state == "valid" else ["other load 71 %"],
            }
            store.add(document, {"samples_ns": samples})
            sides.append(document["result_id"])
    (cell,) = two_sweeps.edgeflow("compare", *sides, "--json").document["cells"]
    assert (cell["verdict"], cell["doubt"]) == ("slower", "invalid results of B")
    assert "invalid results of B" in two_sweeps.edgeflow("compare", *sides).out
    assert "| invalid results of B |" in two_sweeps.edgeflow("compare", *sides, "--markdown").out
    refused = two_sweeps.edgeflow("compare", *sides, "--require-valid")
    assert (refused.code, "rests on invalid results of B" in refused.err) == (1, True)
    assert two_sweeps.edgeflow("compare", "aaaa", "bbbb", "--require-valid").code == 0
    assert "rests on" not in two_sweeps.edgeflow("compare", "aaaa", "bbbb").out


def test_history_tells_which_version_a_cell_became_slower_with(bench: Bench) -> None:
    generator = np.random.default_rng(5)
    with Store.open(bench.home / "results.db") as store:
        for version, factor, mode in (("1.0", 1.0, "quick"), ("1.0", 1.0, "quick"), ("2.0", 1.2, "quick"),
                                      ("2.0", 5.0, "sustained")):  # fmt: skip
            samples = [round(value) for value in 1e6 * factor * generator.lognormal(0, 0.02, 100)]
            document = result("m", "d", samples, "none")
            document["runtime"]["version"] = version
            document["mode"] = mode
            document["artifact"] = {"tools": {"pnnx": f"p{version}"}}
            store.add(document, {"samples_ns": samples})
            if mode == "quick":
                last = document["result_id"]
    done = bench.edgeflow("results", "history", last, "--json").document
    assert done["count"] == 3, "another mode is another cell"
    assert [row["verdict"] for row in done["results"]] == [None, "same", "slower"]
    assert done["results"][2]["change"] == pytest.approx(0.2, abs=0.03)
    assert [row["changed"] for row in done["results"]] == [
        [],
        [],
        [
            {"what": "runtime", "from": "1.0", "to": "2.0"},
            {"what": "tool pnnx", "from": "p1.0", "to": "p2.0"},
        ],
    ]
    told = bench.edgeflow("results", "history", last, "--limit", "2").out
    assert "runtime 1.0 -> 2.0; tool pnnx p1.0 -> p2.0" in " ".join(told.split())
    assert "1 older result left out" in told
    assert bench.edgeflow("results", "history", "nothing").code == 2


def test_parquet_needs_pyarrow_and_says_so(two_sweeps: Bench) -> None:
    done = two_sweeps.edgeflow("results", "export", "-f", "parquet", "-o", "out.parquet")
    if importlib.util.find_spec("pyarrow") is None:
        assert done.code == 6
        assert "pyarrow" in done.error_line
        assert "pip install pyarrow" in done.err
        assert not (two_sweeps.folder / "out.parquet").exists()
        return
    from pyarrow import parquet

    assert done.code == 0, done.err
    table = parquet.read_table(two_sweeps.folder / "out.parquet")
    assert table.num_rows == 12
    assert len(table["samples_ns"][0].as_py()) == 100
