"""A sweep whose host process is killed again and again: nothing committed is lost or run twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from edgeflow.store import Store, SweepBook

if TYPE_CHECKING:
    from conftest import Bench

KILLS = 20
REPEATS = 24
DEVICES = 3


def start(bench: Bench, *words: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "edgeflow.cli.main", "sweep", *map(str, words)],
        cwd=bench.folder,
        env={**os.environ, "EDGEFLOW_HOME": str(bench.home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def committed(bench: Bench) -> dict[tuple[str, int], str]:
    with Store.open(bench.home / "results.db") as store:
        book = SweepBook(store)
        jobs = book.jobs(book.find("last").id)
        results = {row.id for row in store.list({}, limit=None)}
    found = {(job.cell_id, job.repeat): job.result_id for job in jobs if job.status == "ok" and job.result_id}
    assert set(found.values()) == results, (
        "a job that is done has its result, and no result is without its job"
    )
    return found


@pytest.mark.timeout(240)
def test_kill_9_at_random_points_loses_nothing_and_repeats_nothing(bench: Bench) -> None:
    moment = random.Random(20261125)
    bench.write("plan.yaml", f"models: one.onnx\ndevices: rack\nruntimes: ['null']\nbudget_s: 0.02\n"
                             f"repeats: {REPEATS}\n")  # fmt: skip
    before: dict[tuple[str, int], str] = {}
    log = bench.folder / "events.ndjson"
    words: tuple[object, ...] = ("plan.yaml",)
    kills = 0
    while kills < KILLS:
        process = start(bench, *words, "--events", log)
        try:
            assert process.stderr is not None
            assert process.stderr.readline(), "it says that it began, once the sweep is in the store"
            # The kill shall fall anywhere in a job, so its moment is drawn, not awaited.
            timer = threading.Timer(moment.uniform(0.0, 1.0), process.kill)
            timer.start()
            process.stderr.read()
            process.wait(60)
            timer.cancel()
        finally:
            process.kill()
            process.wait()
        words = ("--resume", "last")
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
        kills += 1
        after = committed(bench)
        assert before.items() <= after.items(), "what was committed stays, under the same result"
        before = after
    assert kills == KILLS, "the sweep was over before it was killed often enough: raise REPEATS"
    final = bench.edgeflow("sweep", "--resume", "last", "--json", "--events", log)
    assert final.code == 0, final.err
    assert final.document["counts"] == {"ok": DEVICES * REPEATS, "failed": 0, "pending": 0}
    after = committed(bench)
    assert before.items() <= after.items()
    check_log([json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")])


def check_log(events: list[dict[str, Any]]) -> None:
    """No job begins after it was finished; each kill repeats at most the one that each device had begun."""
    finished: set[tuple[str, int]] = set()
    begun: Counter[tuple[str, int]] = Counter()
    runs = 0
    for event in events:
        if event["event"] == "sweep_started":
            runs += 1
        elif event["event"] == "job_started":
            key = (event["cell"], event["repeat"])
            assert key not in finished
            begun[key] += 1
        elif event["event"] == "job_finished":
            finished.add((event["cell"], event["repeat"]))
    busy = sum(event["event"] in ("device_busy", "job_retried") for event in events)
    repeated = sum(begun.values()) - len(begun) - busy
    assert repeated <= DEVICES * (runs - 1)


def test_two_processes_cannot_run_one_sweep(bench: Bench) -> None:
    process = start(
        bench, "-m", "one.onnx", "-d", "a", "-r", "null", "--budget-s", "20", "--mode", "sustained"
    )
    try:
        assert process.stderr is not None
        assert b"begins" in process.stderr.readline()
        refused = bench.edgeflow("sweep", "--resume", "last")
        assert refused.code == 2
        assert f"is run by process {process.pid}" in refused.error_line
    finally:
        process.kill()
        process.communicate()


def test_ctrl_c_ends_it_quickly_says_how_to_go_on_and_leaves_nothing_running(bench: Bench) -> None:
    process = start(bench, "-m", "one.onnx", "-d", "a,b", "-r", "null", "--budget-s", "60", "--mode",
                    "sustained")  # fmt: skip
    try:
        assert process.stderr is not None
        assert b"begins" in process.stderr.readline()
        assert b"converted" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read().decode()
        assert process.wait(30) == 130
    finally:
        process.kill()
        process.wait()
    assert "go on with: edgeflow sweep --resume " in rest
    left = bench.edgeflow("results", "show", "--sweep", "last", "--json").document
    assert left["counts"] == {"ok": 0, "failed": 0, "pending": 2}
