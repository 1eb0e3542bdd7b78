"""Sweeps over lab hosts of a real Dask cluster on loopback: hosts that die, homes that die, Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conftest import environment
from dask_cluster import DaskCluster, Told
from processes import children_of

if TYPE_CHECKING:
    from conftest import Bench

PLAN = "models: one.onnx\ndevices: [a, c]\nruntimes: ['null']\n"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with DaskCluster(tmp_path_factory.mktemp("dask")) as running:
        yield running


@pytest.fixture
def bench(bench: Bench) -> Bench:
    """Home has models and no device of its own."""
    (bench.folder / "devices.yaml").unlink()
    return bench


@contextmanager
def started(bench: Bench, *words: object) -> Iterator[tuple[subprocess.Popen[str], Told]]:
    """`edgeflow sweep` while it works; killed afterwards if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "edgeflow.cli.main", "sweep", *map(str, words)],
        cwd=bench.folder, env=environment(bench.home), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            yield process, Told(process)
        finally:
            process.kill()


def document_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    document: dict[str, Any] = json.loads(process.stdout.read())
    process.wait(60)
    return document


def jobs_of(document: dict[str, Any]) -> dict[tuple[str, int], dict[str, Any]]:
    return {(job["device"], job["repeat"]): job for job in document["jobs"]}


def test_devices_of_two_hosts_are_one_fleet(bench: Bench, cluster: DaskCluster) -> None:
    left, right = cluster.start()
    bench.write("plan.yaml", "models: [one.onnx, two.onnx]\ndevices: rack\nruntimes: ['null']\n"
        "include:\n  - {model: one.onnx, runtime: onnxruntime}\n"
                             f"budget_s: 0.2\nexecutor: dask://{cluster.address}\n")  # fmt: skip
    planned = bench.edgeflow("sweep", "plan.yaml", "--dry-run", "--json")
    assert {cell["device"] for cell in planned.document["cells"]} == {"a", "b", "c"}
    done = bench.edgeflow("sweep", "plan.yaml", "--json")
    assert done.code == 0, done.err
    assert done.document["counts"] == {"ok": 9, "failed": 0, "pending": 0}
    exported = bench.edgeflow("results", "export", "-f", "json", "--sweep", "last").document["results"]
    results = [result for result in exported if result["runtime"]["name"] == "onnxruntime"]
    assert len(results) == 3
    assert all(result["lab_host"] and result["numerics"]["verdict"] == "pass" for result in results)
    assert all(Path(result["artifact"]["path"]).is_dir() for result in results), "the artifact at home"
    assert all(result["model"]["size_bytes"] > 0 and result["samples_ns"] for result in results)
    for host in (left, right):
        assert not (host.folder / "home" / "results.db").exists(), "the only store is at home"
        assert not (host.folder / "home" / "cache").exists(), "nothing is converted away from home"
        assert len(list((host.folder / "home" / "received").iterdir())) == 3 + 1, "three parcels, one model"


def test_a_killed_worker_gives_its_job_back_to_the_one_that_comes_after_it(
    bench: Bench, cluster: DaskCluster
) -> None:
    _, right = cluster.start()
    assert right.told is not None
    said = len(right.told.lines)
    bench.write("plan.yaml", PLAN + "budget_s: 0.2\nrepeats: 2\n")
    with started(bench, "plan.yaml", *cluster.executor, "--json") as (process, told):
        right.told.wait_for("c: one null", after=said)
        right.kill()
        told.wait_for("c: no lab host offers it")
        right.start()
        document = document_of(process)
    assert document["counts"] == {"ok": 4, "failed": 0, "pending": 0}
    assert jobs_of(document)["c", 1]["attempts"] == 1, "Dask gave it back; nothing failed"


def test_a_device_whose_host_stays_away_is_lost_until_it_is_back(bench: Bench, cluster: DaskCluster) -> None:
    _, right = cluster.start()
    assert right.told is not None
    said = len(right.told.lines)
    bench.write("plan.yaml", PLAN + "budget_s: 0.2\nrepeats: 2\nabsent_patience_s: 0.5\n")
    with started(bench, "plan.yaml", *cluster.executor, "--json") as (process, _):
        right.told.wait_for("c: one null", after=said)
        right.kill()
        document = document_of(process)
    assert process.returncode == 1
    assert document["counts"] == {"ok": 2, "failed": 0, "pending": 2}
    assert document["quarantined"]["c"]["kind"] == "transport"
    assert "no lab host has offered it" in document["quarantined"]["c"]["message"]
    right.start()
    resumed = bench.edgeflow("sweep", "--resume", "last", "--json")
    assert resumed.code == 0, resumed.err
    assert jobs_of(document)["a", 1]["result_id"] == jobs_of(resumed.document)["a", 1]["result_id"]


def test_jobs_of_a_lost_host_go_to_an_equal_device(bench: Bench, cluster: DaskCluster) -> None:
    _, right = cluster.start()
    assert right.told is not None
    said = len(right.told.lines)
    bench.write("plan.yaml", PLAN + "budget_s: 0.2\nabsent_patience_s: 0.5\ninterchangeable: rack\n")
    with started(bench, "plan.yaml", *cluster.executor, "--json") as (process, _):
        right.told.wait_for("c: one null", after=said)
        right.kill()
        document = document_of(process)
    assert process.returncode == 0
    assert document["status"] == "complete"
    assert {job["device"] for job in document["jobs"]} == {"a"}


def test_a_home_that_is_killed_leaves_the_devices_free_and_is_resumed(
    bench: Bench, cluster: DaskCluster
) -> None:
    _, right = cluster.start()
    assert right.told is not None
    said = len(right.told.lines)
    bench.write("plan.yaml", PLAN + "budget_s: 0.2\nrepeats: 2\n")
    with started(bench, "plan.yaml", *cluster.executor) as (process, _):
        said = right.told.wait_for("c: one null fp32: measured", after=said)
        said = right.told.wait_for("c: one null", after=said)  # its second job
        process.kill()
        process.wait()
    right.told.wait_for("c: one null fp32: not wanted any more", after=said)
    before_it = bench.edgeflow("results", "show", "--sweep", "last", "--json").document
    resumed = bench.edgeflow("sweep", "--resume", "last", "--json")
    assert resumed.code == 0, resumed.err
    for key, job in jobs_of(before_it).items():
        assert job["status"] == "pending" or jobs_of(resumed.document)[key]["result_id"] == job["result_id"]


def wait_for_a_child(process: subprocess.Popen[str] | None, before: set[int]) -> None:
    """Until the agent of a device runs below a lab host's worker."""
    assert process is not None
    deadline = time.monotonic() + 30
    while not children_of(process.pid) - before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_ctrl_c_leaves_nothing_running(bench: Bench, cluster: DaskCluster) -> None:
    hosts = cluster.start()
    idle = [children_of(host.process.pid) for host in hosts if host.process]
    said = [len(host.told.lines) for host in hosts if host.told]
    bench.write("plan.yaml", PLAN + "modes: sustained\nbudget_s: 60\n")
    with started(bench, "plan.yaml", *cluster.executor) as (process, told):
        for host, device, before in zip(hosts, "ac", said, strict=True):
            assert host.told is not None
            host.told.wait_for(f"{device}: one null", after=before)
        for host, before in zip(hosts, idle, strict=True):
            wait_for_a_child(host.process, before)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130, told.lines
        told.wait_for("go on with: edgeflow sweep --resume ")
    for host, before in zip(hosts, idle, strict=True):
        assert host.process is not None
        assert children_of(host.process.pid) <= before, "no agent of a device is left"


def test_a_worker_ends_with_a_signal_and_says_what_it_did(bench: Bench, cluster: DaskCluster) -> None:
    left, _ = cluster.start()
    assert left.process is not None
    left.process.send_signal(signal.SIGINT)
    assert left.process.wait(30) == 130
    refused = bench.edgeflow("worker", f"dask://{cluster.address}")
    assert refused.code == 2
    assert "no devices to offer" in refused.error_line
    assert bench.edgeflow("worker", "tcp://127.0.0.1:1").code == 2


def test_what_cannot_be_is_one_line(bench: Bench, tmp_path: Path) -> None:
    words = ("sweep", "-m", "one.onnx", "-r", "null")
    nobody = bench.edgeflow(*words, "--executor", "dask://127.0.0.1:1")
    assert nobody.code == 3
    assert "dask://127.0.0.1:1: no Dask scheduler answers" in nobody.error_line
    typo = bench.edgeflow(*words, "--executor", "dask:/127.0.0.1:1")
    assert typo.code == 2
    assert "--executor: expected threads or dask://HOST:PORT" in typo.error_line
    (tmp_path / "distributed.py").write_text("raise ImportError('no')\n")
    path = f"{tmp_path}:{environment(bench.home).get('PYTHONPATH', '')}"
    for command in (
        (*words, "--executor", "dask://127.0.0.1:1"),
        ("worker", "dask://127.0.0.1:1", "-d", "local"),
    ):
        missing = bench.edgeflow(*command, PYTHONPATH=path)
        assert missing.code == 6
        assert "pip install 'distributed>=" in missing.err


def test_a_scheduler_that_dies_loses_no_result(bench: Bench, cluster: DaskCluster) -> None:
    """The last of these tests: it leaves another scheduler behind."""
    _, right = cluster.start()
    assert right.told is not None and cluster.process is not None
    said = len(right.told.lines)
    bench.write("plan.yaml", PLAN + "budget_s: 0.2\nrepeats: 2\n")
    with started(bench, "plan.yaml", *cluster.executor, "--json") as (process, told):
        told.wait_for("c: one.onnx null fp32")
        said = right.told.wait_for("c: one null fp32: measured", after=said)
        cluster.process.kill()
        cluster.process.wait()
        document = document_of(process)
    assert process.returncode == 1
    assert document["counts"]["failed"] == 0
    assert document["counts"]["pending"] > 0
    assert "the scheduler at dask://" in document["quarantined"]["c"]["message"]
    cluster.start_scheduler()
    for host in cluster.start():
        assert host.told is not None
        host.told.wait_for("joined", after=host.told.wait_for("the scheduler is gone"))
    resumed = bench.edgeflow("sweep", "--resume", "last", "--json")
    assert resumed.code == 0, resumed.err
    for key, job in jobs_of(document).items():
        assert job["status"] == "pending" or jobs_of(resumed.document)[key]["result_id"] == job["result_id"]
