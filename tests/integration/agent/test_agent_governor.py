"""The frequency governor of a job: set while it runs, set back however it ends, refused by name."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeflow_agent.wire import Tensor

X = Tensor("x", "float32", (2,), struct.pack("<2f", 1, 2), 0)
HANG = {"crash": "hang"}


@pytest.fixture
def cpus(tmp_path: Path) -> Path:
    """Two CPUs as /sys shows them, each with a policy of its own."""
    root = tmp_path / "root"
    for cpu, governor in enumerate(("schedutil", "powersave")):
        folder = root / f"sys/devices/system/cpu/cpu{cpu}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(f"{governor}\n")
        (folder / "scaling_available_governors").write_text("performance powersave schedutil\n")
    return root


@pytest.fixture
def core(connect: Callable[..., Any], agent: Any, work: Path, cpus: Path) -> Callable[[], Any]:
    """Opens a connection to a core of its own, which finds these CPUs."""
    return lambda: connect(argv=agent.argv("core", work, "--root", str(cpus)))


def governors(root: Path) -> list[str]:
    files = sorted(root.glob("sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"))
    return [file.read_text().strip() for file in files]


def test_it_is_set_while_the_job_runs_and_set_back(core: Callable[[], Any], cpus: Path, work: Path) -> None:
    client = core()
    job = client.start("infer", [X], options=HANG, governor="performance")
    client.send("job.wait", job=job)
    client.until_phase("first")
    assert governors(cpus) == ["performance", "performance"]
    other = json.loads((work / "restore.json").read_text())
    assert sorted(other.values()) == ["powersave", "schedutil"]
    client.send("job.cancel", job=job)
    with pytest.raises(Exception, match="cancelled"):
        while True:
            client.receive()
    assert governors(cpus) == ["schedutil", "powersave"] and not (work / "restore.json").exists()


def test_the_result_names_it_and_only_the_cpus_of_the_job_are_changed(
    core: Callable[[], Any], cpus: Path
) -> None:
    client = core()
    assert client.job("infer", [X])["governor"] is None
    assert client.job("infer", [X], governor="performance")["governor"] == "performance"
    if hasattr(os, "sched_setaffinity") and 0 in os.sched_getaffinity(0):
        job = client.start("infer", [X], options=HANG, governor="powersave", affinity=[0])
        client.progress.clear()
        client.send("job.wait", job=job)
        client.until_phase("first")
        assert governors(cpus) == ["powersave", "powersave"]
        client.hang_up()
    assert governors(cpus) == ["schedutil", "powersave"]


def test_a_core_that_was_killed_leaves_a_note_for_the_next_one(
    core: Callable[[], Any], cpus: Path, work: Path
) -> None:
    client = core()
    client.send("job.wait", job=client.start("infer", [X], options=HANG, governor="performance"))
    client.until_phase("first")
    client.process.kill()
    client.process.wait()
    assert governors(cpus) == ["performance", "performance"]
    core()
    assert governors(cpus) == ["schedutil", "powersave"] and not (work / "restore.json").exists()


@pytest.mark.parametrize(
    ("governor", "code", "words"),
    [
        (
            "turbo",
            "unsupported_setting",
            "cpu0 has no governor turbo; it has: performance powersave schedutil",
        ),
        (7, "bad_request", "governor"),
    ],
)
def test_what_the_device_does_not_have_is_refused(
    core: Callable[[], Any], cpus: Path, said: Any, governor: Any, code: str, words: str
) -> None:
    client = core()
    with pytest.raises(said) as refused:
        client.job("infer", [X], governor=governor)
    assert refused.value.code == code and words in refused.value.message
    assert governors(cpus) == ["schedutil", "powersave"]


def test_without_any_governor_it_is_refused(
    connect: Callable[..., Any], agent: Any, work: Path, tmp_path: Path, said: Any
) -> None:
    client = connect(argv=agent.argv("core", work, "--root", str(tmp_path / "nothing")))
    with pytest.raises(said, match="no frequency governor") as refused:
        client.job("infer", [X], governor="performance")
    assert refused.value.code == "unsupported_setting"
