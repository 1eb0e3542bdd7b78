"""Writers that are killed, and writers at the same time: a result that was reported stored is stored."""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeflow.errors import EdgeflowError
from edgeflow.store import Store

MakeDocument = Callable[..., dict[str, Any]]

# Opens the store, then adds results for ever (or `count`), each announced only after its commit.
WRITER = """
import json, sys
from pathlib import Path
from edgeflow.store import Store, new_result_id
document, count = json.loads(sys.argv[2]), int(sys.argv[3])
with Store.open(Path(sys.argv[1])) as store:
    print("ready", flush=True)
    while count:
        count -= 1
        result_id = new_result_id()
        store.add(document | {"result_id": result_id}, {"samples_ns": range(20_000)})
        print(result_id, flush=True)
"""


@contextlib.contextmanager
def writer(path: Path, document: dict[str, Any], count: int) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), json.dumps(document), str(count)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def integrity(path: Path) -> str:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def test_kill_9_loses_nothing_that_was_committed(tmp_path: Path, make_document: MakeDocument) -> None:
    path, moment = tmp_path / "results.db", random.Random(7)
    promised: set[str] = set()
    for _ in range(12):
        with writer(path, make_document("x"), -1) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            promised.update(process.stdout.readline().strip() for _ in range(moment.randrange(4)))
            # The kill shall fall anywhere inside a transaction, so its moment is drawn, not awaited.
            time.sleep(moment.uniform(0, 0.02))
            process.kill()
            promised.update(line.strip() for line in process.stdout if line.endswith("\n"))
        assert integrity(path) == "ok"
    assert len(promised) > 12
    with Store.open(path) as store:
        stored = {row.id for row in store.list(limit=None)}
        assert promised <= stored
        assert len(stored - promised) <= 12, "at most the one result of each kill that was not announced"
        for result_id in stored:
            assert store.samples(result_id) == tuple(range(20_000))


def test_two_processes_create_and_fill_one_store(tmp_path: Path, make_document: MakeDocument) -> None:
    path = tmp_path / "results.db"
    promised: list[str] = []
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(writer(path, make_document("x"), 25)) for _ in range(3)]
        for process in processes:
            assert process.stdout is not None
            promised += process.stdout.read().split()[1:]
            assert process.wait(60) == 0
    with Store.open(path) as store:
        assert sorted(row.id for row in store.list(limit=None)) == sorted(promised)
    assert len(promised) == 75
    assert integrity(path) == "ok"


def test_many_processes_may_open_a_store_that_does_not_exist_yet(
    tmp_path: Path, make_document: MakeDocument
) -> None:
    for attempt in range(3):
        path = tmp_path / f"results{attempt}.db"
        with contextlib.ExitStack() as stack:
            processes = [stack.enter_context(writer(path, make_document("x"), 1)) for _ in range(4)]
            assert [process.wait(60) for process in processes] == [0, 0, 0, 0]


def test_a_lock_that_is_held_for_ever_is_one_line(
    tmp_path: Path, make_document: MakeDocument, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeflow.store.database._BUSY_TIMEOUT_MS", 50)
    path = tmp_path / "results.db"
    with Store.open(path) as store, contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(EdgeflowError, match="another process has held the results database"):
            store.add(make_document("abc1"), {})
        other.rollback()
        store.add(make_document("abc1"), {})
