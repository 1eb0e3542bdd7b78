"""A sweep over lab and local devices: a cable is out, an agent is killed, a phone does not know us."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from conftest import Finished, environment, run_edgeflow
from edgeflow.lab import lab as labs
from edgeflow.lab.network import set_link
from edgeflow.progress import Silent
from processes import children_of

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = [pytest.mark.lab, pytest.mark.network, pytest.mark.timeout(900)]

BOARD, PHONE, LOCKED = "lab-arm64", "lab-pixel7", "lab-pixel7-locked"
LOCAL = ("bench-1", "bench-2")
DEVICES = (BOARD, PHONE, LOCKED, *LOCAL)
MODELS = ("zoo:mtcnn-onet", "zoo:blazeface", "zoo:ppocr-cls")
RUNTIMES = ("null", "ncnn", "onnxruntime")
KEPT = Path(__file__).resolve().parents[2] / ".cache" / "tests"


class Sweep:
    """The command line in a folder with all of these devices."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.folder, self.home = folder, lab.home
        entries = yaml.safe_load((lab.home / "lab/devices.yaml").read_text())["devices"]
        here = {
            name: {"transport": "local", "work_dir": str(folder / name), "agent": "python"} for name in LOCAL
        }
        there = {name: {**entries[name], "agent": "native"} for name in (BOARD, PHONE, LOCKED)}
        (folder / "devices.yaml").write_text(yaml.safe_dump({"devices": {**there, **here}}))
        (folder / "plan.yaml").write_text(
            yaml.safe_dump(
                {
                    "models": list(MODELS), "devices": list(DEVICES), "runtimes": list(RUNTIMES),
                    "budget_s": 0.1, "attempts": 2,
                }
            )
        )  # fmt: skip
        self._extra = {
            "EDGEFLOW_BUILD_CACHE": os.environ.get("EDGEFLOW_BUILD_CACHE") or str(KEPT / "builds"),
            "PYTHONUNBUFFERED": "1",
        }

    def edgeflow(self, *words: object) -> Finished:
        return run_edgeflow(self.home, self.folder, *words, timeout_s=600, **self._extra)

    @contextmanager
    def started(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            [sys.executable, "-m", "edgeflow.cli.main", "sweep", *words],
            cwd=self.folder, env=environment(self.home, **self._extra), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            try:
                yield process
            finally:
                process.kill()


def agent_of(sweep: subprocess.Popen[str], folder: Path) -> int:
    """The process of the agent that a sweep keeps on a local device."""
    for pid in children_of(sweep.pid):
        if str(folder) in Path(f"/proc/{pid}/cmdline").read_text():
            return pid
    raise AssertionError(f"no agent works in {folder}")


@pytest.fixture
def sweep(lab: Lab, tmp_path: Path) -> Iterator[Sweep]:
    labs.down([LOCKED], lab.home)  # it knows us from other tests
    labs.up([LOCKED], lab.home, Silent())
    try:
        yield Sweep(lab, tmp_path)
    finally:
        set_link(lab.guest(BOARD), up=True)


def test_faults_cost_their_own_cells_and_a_resume_mends_them(lab: Lab, sweep: Sweep) -> None:
    log = sweep.folder / "events.ndjson"
    unplugged = killed = False
    with sweep.started("plan.yaml", "--json", "--events", str(log)) as process:
        assert process.stderr is not None and process.stdout is not None
        for line in process.stderr:
            if f"] {BOARD}: " in line and not unplugged:
                unplugged = True
                set_link(lab.guest(BOARD), up=False)
            if f"] {LOCAL[1]}: " in line and not killed:
                killed = True
                os.kill(agent_of(process, sweep.folder / LOCAL[1]), signal.SIGKILL)
        document: dict[str, Any] = json.loads(process.stdout.read())
    assert process.returncode == 1
    assert unplugged and killed
    jobs = {(job["device"], job["runtime"], job["model"]): job for job in document["jobs"]}
    assert len(jobs) == len(DEVICES) * len(MODELS) * len(RUNTIMES) == 45

    failed = [job["error"] for job in document["jobs"] if job["status"] == "failed"]
    assert not failed
    states = {name: {job["status"] for key, job in jobs.items() if key[0] == name} for name in DEVICES}
    assert states == {
        BOARD: {"ok", "pending"}, LOCKED: {"pending"}, **{name: {"ok"} for name in (PHONE, *LOCAL)}
    }  # fmt: skip
    assert set(document["quarantined"]) == {BOARD, LOCKED}
    assert {fault["kind"] for fault in document["quarantined"].values()} == {"transport"}
    assert "unauthorized" in document["quarantined"][LOCKED]["message"]
    told = [json.loads(line) for line in log.read_text().splitlines()]
    retried = [event for event in told if event["event"] == "job_retried" and event["device"] == LOCAL[1]]
    assert [event["error"]["kind"] for event in retried] == ["agent"]
    exported = sweep.edgeflow("results", "export", "--format", "json", "--sweep", "last").document["results"]
    on_phone = [found for found in exported if found["device"]["name"] == PHONE]
    layers = {found["runtime"]["layers"] for found in on_phone if found["runtime"]["name"] == "ncnn"}
    assert layers in ({"all"}, {"common"}), "what the worker was built with is told"
    assert sum(event["event"] == "conversion_finished" for event in told) == len(MODELS) * len(RUNTIMES)

    set_link(lab.guest(BOARD), up=True)
    resumed = sweep.edgeflow("sweep", "--resume", "last", "--json")
    assert resumed.code == 1, "one phone still does not know us"
    assert resumed.document["counts"] == {"ok": 36, "failed": 0, "pending": 9}
    assert set(resumed.document["quarantined"]) == {LOCKED}
    for job in resumed.document["jobs"]:
        before = jobs[job["device"], job["runtime"], job["model"]]
        assert job["status"] == ("pending" if job["device"] == LOCKED else "ok")
        assert before["status"] == "pending" or before["result_id"] == job["result_id"]
