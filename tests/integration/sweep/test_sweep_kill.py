"""A sweep whose host process is killed again and again: nothing committed is lost or run twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from edgeflow.store import Store, SweepBook

if TYPE_CHECKING:
    from conftest import Bench

KILLS = 20
REPEATS = 3
DEVICES = "ab"
RUNTIMES = ("null", "onnxruntime")

# A process that has imported what a sweep needs and forks for each command: the time goes into kills.
LAUNCHER = """
import json, os, sys
import edgeflow.cli.sweep_view, edgeflow.cli.sweep_watch, edgeflow.sweep.sweep, edgeflow_converters.pipeline
from edgeflow.cli.main import main

for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(0, 1)
        main(json.loads(line))
    print(pid, flush=True)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print("ended", file=sys.stderr, flush=True)
    print(code, flush=True)
"""


class Launcher:
    """Runs the command line again and again, and kills it."""

    def __init__(self, bench: Bench) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER],
            cwd=bench.folder, env={**os.environ, "EDGEFLOW_HOME": str(bench.home)}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._words, self._told, self._said = self._process.stdin, self._process.stdout, self._process.stderr

    def run_and_kill(self, words: Sequence[str], after_s: float, *, jobs: int) -> int:
        """How a sweep ended that was killed so long after it began and then finished so many jobs."""
        self._words.write(json.dumps(["sweep", *words]) + "\n")
        self._words.flush()
        pid = int(self._told.readline())
        self._until("begins", "goes on")
        if jobs == 0 or self._until("] ", "ended") != "ended":
            time.sleep(after_s)  # the kill shall fall anywhere in a job, so its moment is drawn, not awaited
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self._until("ended")
        return int(self._told.readline())

    def _until(self, *words: str) -> str:
        """The first of these words that it says."""
        return next(word for line in iter(self._said.readline, "") for word in words if word in line)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def launcher(bench: Bench) -> Iterator[Launcher]:
    running = Launcher(bench)
    yield running
    running.close()


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
        sweep_id = book.find("last").id
        jobs = book.jobs(sweep_id)
        results = {row.id for row in store.list({"sweep": sweep_id}, limit=None)}
    found = {(job.cell_id, job.repeat): job.result_id for job in jobs if job.status == "ok" and job.result_id}
    assert set(found.values()) == results, (
        "a job that is done has its result, and no result is without its job"
    )
    return found


def test_kill_9_at_random_points_loses_nothing_and_repeats_nothing(bench: Bench, launcher: Launcher) -> None:
    moment = random.Random(20261125)
    devices, runtimes = json.dumps(list(DEVICES)), json.dumps(RUNTIMES)
    bench.write("plan.yaml", f"models: one.onnx\ndevices: {devices}\nruntimes: {runtimes}\n"
                             f"budget_s: 0.02\nrepeats: {REPEATS}\n")  # fmt: skip
    assert bench.edgeflow("convert", "one.onnx", "--runtime", RUNTIMES[1]).code == 0
    log = bench.folder / "events.ndjson"
    before: dict[tuple[str, int], str] = {}
    words: tuple[str, ...] = ("plan.yaml",)
    kills = 0
    while kills < KILLS:
        # Every other time something is to be committed, however slow the machine is.
        code = launcher.run_and_kill([*words, "--events", str(log)], moment.uniform(0.0, 0.5), jobs=kills % 2)
        after = committed(bench)
        assert before.items() <= after.items(), "what was committed stays, under the same result"
        assert code in (0, -signal.SIGKILL)
        kills += code != 0
        # A sweep that was over before it was killed often enough is followed by another.
        before, words = (after, ("--resume", "last")) if code else ({}, ("plan.yaml",))
    if words == ("--resume", "last"):
        final = bench.edgeflow("sweep", *words, "--json", "--events", log)
        assert final.code == 0, final.err
        jobs = len(DEVICES) * len(RUNTIMES) * REPEATS
        assert final.document["counts"] == {"ok": jobs, "failed": 0, "pending": 0}
        assert before.items() <= committed(bench).items()
    interrupted = check_log([json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")])
    assert set(interrupted) == set(RUNTIMES), "kills fell into jobs of both"


def check_log(events: list[dict[str, Any]]) -> Counter[str]:
    """No job begins after it was finished, and a device has one at a time: a kill repeats at most that one.
    How many jobs of each runtime were killed.
    """
    finished: set[tuple[str, str, int]] = set()
    at_work: dict[str, tuple[tuple[str, str, int], str]] = {}
    interrupted: Counter[str] = Counter()
    sweep = ""
    for event in events:
        if event["event"] == "sweep_started":
            sweep = event["id"]
            interrupted.update(runtime for _, runtime in at_work.values())
            at_work = {}
        elif event["event"] == "job_started":
            key = (sweep, event["cell"], event["repeat"])
            assert key not in finished
            assert event["device"] not in at_work, "one job at a time on a device"
            at_work[event["device"]] = (key, event["label"].split()[1])
        elif event["event"] in ("device_busy", "job_retried", "job_finished"):
            key, _ = at_work.pop(event["device"])
            if event["event"] == "job_finished":
                finished.add(key)
    return interrupted


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
        assert b"converting" in process.stderr.readline()
        assert b"converted" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read().decode()
        assert process.wait(30) == 130, rest
    finally:
        process.kill()
        process.wait()
    assert "go on with: edgeflow sweep --resume " in rest
    left = bench.edgeflow("results", "show", "--sweep", "last", "--json").document
    assert left["counts"] == {"ok": 0, "failed": 0, "pending": 2}
