"""The quota of a work folder: what was used longest ago goes, what is in use stays."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from pathlib import Path

import pytest

from edgeflow_agent.folder import JobLock, WorkFolder
from edgeflow_agent.prune import prune

OWN = "0" * 16
HOUR_S = 3600.0


@pytest.fixture
def work(tmp_path: Path) -> WorkFolder:
    return WorkFolder(str(tmp_path / "work"))


def put(work: WorkFolder, content: bytes, *, used_hours_ago: float) -> Path:
    path = Path(work.files, hashlib.sha256(content).hexdigest())
    path.write_bytes(content)
    then = time.time() - used_hours_ago * HOUR_S
    os.utime(path, (then, then))
    return path


def put_agent(work: WorkFolder, build: str, *, used_hours_ago: float) -> Path:
    path = Path(work.path, "agents", build, "agent.pyz")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a" * 500)
    then = time.time() - used_hours_ago * HOUR_S
    os.utime(path, (then, then))
    return path


def test_the_least_recently_used_goes_first_until_the_quota_holds(work: WorkFolder) -> None:
    old = put(work, b"1" * 1000, used_hours_ago=30)
    older = put(work, b"2" * 1000, used_hours_ago=40)
    newer = put(work, b"3" * 1000, used_hours_ago=20)
    found = prune(work, OWN, 2100)
    assert found["removed"] == [f"files/{older.name}"]
    assert (found["freed_bytes"], found["kept_bytes"]) == (1000, 2000)
    assert old.exists() and newer.exists() and not older.exists()
    assert prune(work, OWN, 2100)["removed"] == []


def test_use_makes_a_file_young(work: WorkFolder) -> None:
    first = put(work, b"1" * 1000, used_hours_ago=40)
    second = put(work, b"2" * 1000, used_hours_ago=30)
    assert work.verified_file(first.name) == str(first)
    prune(work, OWN, 1500)
    assert first.exists() and not second.exists()


def test_a_use_does_not_cost_another_hashing(work: WorkFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(work, b"model", used_hours_ago=2)
    assert work.verified_file(path.name)
    monkeypatch.setattr("edgeflow_agent.folder._hash", lambda file: "not asked again")
    assert work.verified_file(path.name) == str(path)


def test_what_was_used_within_the_hour_stays_even_over_the_quota(work: WorkFolder) -> None:
    young = put(work, b"1" * 1000, used_hours_ago=0.5)
    assert prune(work, OWN, 0)["removed"] == []
    assert young.exists()


def test_nothing_goes_while_a_job_runs(work: WorkFolder) -> None:
    old = put(work, b"1" * 1000, used_hours_ago=99)
    held = JobLock(work.lock_path).acquire("alice@laptop")
    try:
        found = prune(work, OWN, 0)
        assert found["removed"] == [] and found["busy"]["by"] == "alice@laptop"
    finally:
        os.close(held)
    assert old.exists()
    assert prune(work, OWN, 0)["busy"] is None
    assert not old.exists()


def test_old_agents_go_but_not_ones_own_nor_one_whose_daemon_lives(work: WorkFolder) -> None:
    own = put_agent(work, OWN, used_hours_ago=99)
    dead = put_agent(work, "d" * 16, used_hours_ago=99)
    living = put_agent(work, "e" * 16, used_hours_ago=99)
    run = Path(work.path, "run", "e" * 16)
    run.mkdir(parents=True)
    with (run / "agent.pid").open("w") as pid_file:
        fcntl.flock(pid_file, fcntl.LOCK_EX)
        removed = prune(work, OWN, 0)["removed"]
    assert f"agents/{'d' * 16}" in removed
    assert own.exists() and living.exists() and not dead.parent.exists()
