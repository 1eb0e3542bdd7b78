"""Whole sweeps by the real command line over real local devices."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Bench

QUICK = ("--budget-s", "0.2")
JOB_KEYS = {"device", "runtime", "model", "precision", "threads", "status", "error", "result_id"}


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_sweep_measures_every_cell_on_every_device_and_says_what_it_left_out(bench: Bench) -> None:
    bench.write(
        "plan.yaml",
        "models: [one.onnx, two.onnx]\ndevices: rack\nruntimes: ['null', onnxruntime]\n"
        "precisions: [fp32, int8]\nrepeats: 2\nbudget_s: 0.2\n"
        "exclude:\n  - {model: two.onnx, device: c, why: not there}\n",
    )
    planned = bench.edgeflow("sweep", "plan.yaml", "--dry-run", "--json")
    assert planned.code == 0, planned.err
    assert planned.document["schema"] == "edgeflow.sweep-plan/1"
    assert len(planned.document["cells"]) == 10
    assert planned.document["estimate"]["jobs_by_default"] == 20

    done = bench.edgeflow("sweep", "plan.yaml", "--json", "--events", "events.ndjson")
    assert done.code == 0, done.err
    document = done.document
    assert document["schema"] == "edgeflow.sweep/1"
    assert document["status"] == "complete"
    assert all(job.keys() >= JOB_KEYS for job in document["jobs"])
    assert [job["status"] for job in document["jobs"]] == ["ok"] * 20
    assert len({job["result_id"] for job in document["jobs"]}) == 20
    reasons = {dropped["reason"] for dropped in document["dropped"]}
    assert "excluded by the plan: not there" in reasons
    assert any("does not offer int8" in reason for reason in reasons)

    told = events(bench.folder / "events.ndjson")
    assert [event["event"] for event in (told[0], told[-1])] == ["sweep_started", "sweep_finished"]
    converted = [event for event in told if event["event"] == "conversion_finished"]
    assert len(converted) == 4, "once for each model and runtime, whatever number of devices"
    for device in "abc":
        begun = [e for e in told if e["event"] == "job_started" and e["device"] == device]
        assert [event["repeat"] for event in begun] == sorted(event["repeat"] for event in begun)

    listed = bench.edgeflow("results", "list", "--sweep", "last", "--json").document["results"]
    assert {row["result_id"] for row in listed} == {job["result_id"] for job in document["jobs"]}
    shown = bench.edgeflow("results", "show", "--sweep", document["id"][:9], "--json").document
    assert shown["jobs"] == document["jobs"]
    result = bench.edgeflow("results", "show", document["jobs"][0]["result_id"], "--json").document
    assert result["sweep"] == {"id": document["id"], "cell": document["jobs"][0]["cell"], "repeat": 1}
    again = bench.edgeflow("sweep", "plan.yaml", "--dry-run", "--json").document["estimate"]
    assert again["jobs_by_default"] == 0, "now there is a history"

    resumed = bench.edgeflow("sweep", "--resume", "last", "--json")
    assert resumed.code == 0, resumed.err
    assert resumed.document["jobs"] == document["jobs"]


def test_faults_are_classified_and_the_sweep_goes_on(bench: Bench, tmp_path: Path) -> None:
    """One device cannot be reached, one model is damaged; all else is measured, and a resume mends it."""
    (bench.folder / "bad.onnx").write_bytes((bench.folder / "two.onnx").read_bytes()[:60])
    (tmp_path / "work-b").write_text("a file where the work folder should be")
    bench.write("plan.yaml", "models: [one.onnx, bad.onnx]\nruntimes: onnxruntime\ndevices: rack\n"
                             "budget_s: 0.2\nattempts: 2\n")  # fmt: skip
    done = bench.edgeflow("sweep", "plan.yaml", "--json")
    assert done.code == 1
    jobs = {(job["model"], job["device"]): job for job in done.document["jobs"]}
    assert {device: jobs["one.onnx", device]["status"] for device in "ac"} == {"a": "ok", "c": "ok"}
    assert jobs["one.onnx", "b"]["status"] != "ok"
    assert jobs["one.onnx", "b"]["error"]["kind"] in ("transport", "device")
    assert all(jobs["bad.onnx", device]["error"]["kind"] == "model" for device in "abc")
    assert "failed" in done.error_line
    (tmp_path / "work-b").unlink()
    flags = () if jobs["one.onnx", "b"]["status"] == "pending" else ("--retry-failed",)
    mended = bench.edgeflow("sweep", "--resume", "last", *flags, "--json").document
    after = {(job["model"], job["device"]): job for job in mended["jobs"]}
    assert after["one.onnx", "b"]["status"] == "ok"
    for device in "ac":
        assert after["one.onnx", device]["result_id"] == jobs["one.onnx", device]["result_id"]


def test_a_device_that_somebody_else_uses_is_waited_for_by_name(bench: Bench, tmp_path: Path) -> None:
    first = bench.edgeflow("sweep", "-m", "one.onnx", "-d", "a", "-r", "null", *QUICK)
    assert first.code == 0, first.err
    lock = tmp_path / "work-a" / "lock"
    with lock.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with subprocess.Popen(
            bench_command("sweep", "-m", "one.onnx", "-d", "a", "-r", "null", *QUICK, "--json"),
            cwd=bench.folder, env={**os.environ, "EDGEFLOW_HOME": str(bench.home)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stderr is not None
            try:
                told = next(line for line in process.stderr if "asked again in" in line)
                assert "busy" in told
                fcntl.flock(held, fcntl.LOCK_UN)
                out, err = process.communicate(timeout=60)
            finally:
                process.kill()
    assert process.returncode == 0, err
    assert json.loads(out)["counts"] == {"ok": 1, "failed": 0, "pending": 0}
    assert json.loads(out)["jobs"][0]["attempts"] == 1


def bench_command(*words: object) -> list[str]:
    import sys

    return [sys.executable, "-m", "edgeflow.cli.main", *map(str, words)]


def test_jobs_of_a_lost_device_go_to_an_equal_one(bench: Bench, tmp_path: Path) -> None:
    bench.write("devices.yaml", (bench.folder / "devices.yaml").read_text().replace(
        f"b: {{transport: local, work_dir: {tmp_path}/work-b",
        "b: {transport: ssh, address: 127.0.0.1, port: 1, user: nobody"))  # fmt: skip
    bench.write("plan.yaml", "models: one.onnx\nruntimes: ['null']\ndevices: [b, c]\nbudget_s: 0.2\n"
                             "attempts: 1\ninterchangeable: rack\n")  # fmt: skip
    done = bench.edgeflow("sweep", "plan.yaml", "--json")
    assert done.code == 0, done.err
    assert [job["device"] for job in done.document["jobs"]] == ["c", "c"]
    moved = bench.edgeflow("results", "show", done.document["jobs"][0]["result_id"], "--json").document
    assert moved["sweep"]["stands_in_for"] == "b"
    assert list(done.document["quarantined"]) == ["b"]


def test_a_sweep_keeps_its_plan_and_says_when_the_file_changed(bench: Bench) -> None:
    plan = "models: one.onnx\nruntimes: ['null']\ndevices: [a]\nbudget_s: 0.2\n"
    bench.write("plan.yaml", plan)
    assert bench.edgeflow("sweep", "plan.yaml").code == 0
    bench.write("plan.yaml", plan + "# a remark changes nothing\n")
    assert "changed" not in bench.edgeflow("sweep", "--resume", "last").err
    bench.write("plan.yaml", plan + "repeats: 2\n")
    assert "plan.yaml has changed" in bench.edgeflow("sweep", "--resume", "last").err
    refused = bench.edgeflow("sweep", "plan.yaml", "--resume", "last")
    assert refused.code == 2
    assert "another plan" in refused.error_line
    assert bench.edgeflow("sweep", "--resume", "last", "--repeats", 2).code == 2
    (bench.folder / "one.onnx").write_bytes((bench.folder / "two.onnx").read_bytes())
    other_model = bench.edgeflow("sweep", "--resume", "last")
    assert other_model.code == 2
    assert "another model" in other_model.error_line


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("sweep",), "needs a plan or --models"),
        (("sweep", "-m", "nix.onnx"), "nix.onnx: no such file"),
        (("sweep", "-m", "one.onnx", "-r", "ncnm"), "unknown runtime 'ncnm'"),
        (("sweep", "-m", "one.onnx", "-t", "x"), "expected whole numbers"),
        (("sweep", "-m", "one.onnx", "-d", "z"), "unknown device or tag 'z'"),
        (("sweep", "-m", "one.onnx", "-p", "int8", "-r", "null"), "no cell of this plan can run"),
        (("sweep", "--resume", "last"), "there are no sweeps yet"),
        (("sweep", "nix.yaml"), "nix.yaml: no such file"),
        (("compare", "x", "y"), "'x' is no sweep, no result and no file"),
        (("compare", "x", "y", "--fail-on", "much"), "expected a percentage"),
        (("results", "export", "-f", "parquet"), "Parquet is no text"),
    ],
)
def test_mistakes_end_in_one_line(bench: Bench, words: tuple[str, ...], told: str) -> None:
    done = bench.edgeflow(*words)
    assert done.code == 2
    assert told in done.error_line
