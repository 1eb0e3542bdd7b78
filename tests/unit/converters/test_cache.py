"""The cache: whole entries or none, damage found, two builders at once."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from edgeflow_converters.cache import Cache
from edgeflow_converters.errors import CacheUnwritable

KEY = "ab" * 32


def fill(folder: Path) -> None:
    (folder / "model.bin").write_bytes(b"weights" * 100)
    (folder / "model.param").write_text("graph")


def test_an_entry_is_found_as_it_was_built(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.find("artifact", KEY) is None
    built = cache.build("artifact", KEY, fill)
    assert Cache(tmp_path).find("artifact", KEY) == built
    assert (built / "model.param").read_text() == "graph"
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "model.bin").write_bytes(b"weights" * 99),
        lambda folder: (folder / "model.bin").write_bytes(b"Weights" + b"weights" * 99),
        lambda folder: (folder / "model.param").unlink(),
        lambda folder: (folder / "entry.json").unlink(),
        lambda folder: (folder / "entry.json").write_text("{"),
        lambda folder: (folder / "entry.json").write_text('{"files": {}}'),
    ],
)
def test_a_damaged_entry_is_set_aside_and_built_again(damage: object, tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    folder = cache.build("artifact", KEY, fill)
    assert callable(damage)
    damage(folder)
    assert cache.find("artifact", KEY) is None
    assert not folder.exists()
    assert cache.build("artifact", KEY, fill) == folder
    assert cache.find("artifact", KEY) == folder


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        fill(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Cache(tmp_path).build("artifact", KEY, fail)
    assert Cache(tmp_path).find("artifact", KEY) is None
    assert not list((tmp_path / "tmp").iterdir())


def test_two_builders_at_once_share_one_entry(tmp_path: Path) -> None:
    barrier = threading.Barrier(4)
    results: list[Path] = []

    def build() -> None:
        def slowly(folder: Path) -> None:
            fill(folder)
            barrier.wait()  # all are built before the first is published

        results.append(Cache(tmp_path).build("artifact", KEY, slowly))

    threads = [threading.Thread(target=build) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4 and len(set(results)) == 1
    assert Cache(tmp_path).find("artifact", KEY) == results[0]
    assert not list((tmp_path / "tmp").iterdir())


def test_what_killed_processes_left_is_removed_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    left, fresh = tmp_path / "tmp" / "left", tmp_path / "tmp" / "fresh"
    for folder in (left, fresh):
        folder.mkdir(parents=True)
    with Cache(tmp_path).workspace() as used:
        for folder in (left, used):
            os.utime(folder, (time.time() - 60,) * 2)
        Cache(tmp_path).build("artifact", KEY, fill)
        assert used.is_dir() and fresh.is_dir() and not left.exists()


def test_an_entry_is_worked_on_by_one_and_another_waits(tmp_path: Path) -> None:
    waits = threading.Event()
    order = []

    def work() -> None:
        with Cache(tmp_path).alone(KEY, waits.set):
            order.append("begin")
            assert waits.wait(timeout=60)  # both are here
            order.append("end")

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert order == ["begin", "end"] * 2


def test_a_root_that_cannot_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheUnwritable, match="cannot write the cache folder"):
        Cache(tmp_path / "file").build("artifact", KEY, fill)
