"""The store over a real file: round trips, look-ups, exports, and every way in which the file can be bad."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeflow.errors import EdgeflowError, UsageError
from edgeflow.store import COLUMNS, Store, new_result_id, write_csv, write_json

MakeDocument = Callable[..., dict[str, Any]]
SAMPLES = {"samples_ns": [3_250_000, 3_200_000, 2**62], "warmup_ns": [-1], "starts_ns": []}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "home" / "results.db") as opened:
        yield opened


def test_a_result_comes_back_as_it_went_in(store: Store, make_document: MakeDocument, tmp_path: Path) -> None:
    document = make_document("abc1")
    store.add(document, SAMPLES)
    with Store.open(tmp_path / "home" / "results.db") as again:
        assert again.get("abc1") == document
        assert again.samples("abc1") == (3_250_000, 3_200_000, 2**62)
        assert again.series("abc1") == {kind: tuple(values) for kind, values in SAMPLES.items()}


def test_samples_inside_the_document_are_kept_once(store: Store, make_document: MakeDocument) -> None:
    store.add(make_document("abc1", samples_ns=[1, 2]), {"warmup_ns": [9]})
    assert "samples_ns" not in store.get("abc1")
    assert store.series("abc1") == {"samples_ns": (1, 2), "warmup_ns": (9,)}
    with pytest.raises(ValueError, match="other samples"):
        store.add(make_document("abc2", samples_ns=[1, 2]), {"samples_ns": [1, 3]})


def test_a_result_is_found_by_prefix_and_the_newest_by_last(
    store: Store, make_document: MakeDocument
) -> None:
    for result_id in ("zz9", "abc1", "abc2", "abc"):
        store.add(make_document(result_id), {})
    assert store.get("zz")["result_id"] == "zz9"
    assert store.get("abc")["result_id"] == "abc"  # a whole id wins over the ids it begins
    assert store.get("last")["result_id"] == "abc"
    with pytest.raises(UsageError, match="'ab' begins the ids of several results: abc, abc1, abc2"):
        store.get("ab")


@pytest.mark.parametrize("result_id", ["nope", "%", "_", "", "'; DROP TABLE result"])
def test_what_is_not_there_is_one_line(store: Store, result_id: str) -> None:
    with pytest.raises(UsageError, match="no result"):
        store.get(result_id)
    with pytest.raises(UsageError, match="there are no results yet"):
        store.get("last")


def test_a_missing_series_names_those_there_are(store: Store, make_document: MakeDocument) -> None:
    store.add(make_document("abc1"), {"warmup_ns": [1]})
    with pytest.raises(UsageError, match="abc1 has no series 'samples_ns'") as caught:
        store.samples("last")
    assert caught.value.hint == "it has: warmup_ns"


def test_lists_are_newest_first_and_filtered(store: Store, make_document: MakeDocument) -> None:
    store.add(make_document("b"), {})
    store.add(make_document("a", threads=4, runtime={"name": "onnxruntime"}), {})
    store.add(make_document("c", status="failed", validity=None, latency_ms=None), {})
    assert [row.id for row in store.list()] == ["c", "a", "b"]
    assert [row.id for row in store.list(limit=1)] == ["c"]
    assert [row.id for row in store.list({"runtime": "ncnn", "status": "ok"})] == ["b"]
    assert [row.id for row in store.list({"threads": "4"})] == ["a"]
    row = store.list({"status": "failed"})[0]
    assert (row.validity, row.median_ms) == (None, None)
    assert store.list({"model": "größe, the model"})[-1].median_ms == 3.25
    with pytest.raises(UsageError, match="unknown filter 'modle'"):
        store.list({"modle": "x"})


def test_what_is_no_result_is_refused_and_nothing_is_written(
    store: Store, make_document: MakeDocument
) -> None:
    broken = make_document("abc1")
    del broken["device"]
    for document, samples, words in (
        (broken, {}, "without 'device'"),
        (make_document("abc1", first_ms=float("nan")), {}, "JSON compliant"),
        (make_document("abc1"), {"samples_ns": [2**63]}, "too large|too big|out of range"),
    ):
        with pytest.raises((ValueError, OverflowError), match=words):
            store.add(document, samples)
    assert store.list() == ()
    store.add(make_document("abc1"), {})
    with pytest.raises(ValueError, match="abc1 is in the store already"):
        store.add(make_document("abc1"), {})


def test_csv_has_a_unit_in_each_name_and_nothing_for_the_unknown(
    store: Store, make_document: MakeDocument
) -> None:
    store.add(make_document("abc1"), {})
    text = io.StringIO(newline="")
    write_csv([store.get("abc1")], text)
    rows = list(csv.DictReader(io.StringIO(text.getvalue())))
    assert list(rows[0]) == [name for name, _ in COLUMNS]
    assert rows[0]["model"] == "größe, the model"
    assert rows[0]["latency_median_ms"] == "3.25"
    assert rows[0]["latency_ci95_high_ms"] == "3.3"
    assert rows[0]["energy_mj_per_inference"] == ""
    assert rows[0]["temperature_start_c"] == ""
    assert rows[0]["throttled"] == "false"
    assert rows[0]["validity_reasons"] == "only 3 samples; other load 60 %"


def test_json_carries_every_raw_series(store: Store, make_document: MakeDocument) -> None:
    store.add(make_document("abc1"), SAMPLES)
    store.add(make_document("abc2"), {})
    text = io.StringIO()
    write_json(store, ["abc1", "abc2"], text)
    data = json.loads(text.getvalue())
    assert data["schema"] == "edgeflow.results/1"
    first, second = data["results"]
    assert first["samples_ns"] == SAMPLES["samples_ns"]
    assert first["series"] == {"warmup_ns": [-1], "starts_ns": []}
    assert (second["result_id"], second["samples_ns"]) == ("abc2", [])


def test_no_results_are_a_valid_file_too(store: Store) -> None:
    text = io.StringIO()
    write_json(store, [], text)
    assert json.loads(text.getvalue())["results"] == []


def test_threads_share_one_store(store: Store, make_document: MakeDocument) -> None:
    def work(name: str) -> None:
        for index in range(20):
            store.add(make_document(f"{name}{index:02}"), {"samples_ns": [index]})

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.list(limit=None)) == 80


class TestBadFiles:
    def test_a_newer_schema_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "results.db"
        Store.open(path).close()
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()
        with pytest.raises(EdgeflowError, match=r"written by a newer edgeflow .store version 99") as caught:
            Store.open(path)
        assert "upgrade" in caught.value.hint
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA user_version").fetchone() == (99,)
        connection.close()

    def test_somebody_elses_database_is_not_taken_over(self, tmp_path: Path) -> None:
        path = tmp_path / "results.db"
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE result (mine)")
        connection.commit()
        connection.close()
        with pytest.raises(EdgeflowError, match="not edgeflow's"):
            Store.open(path)

    @pytest.mark.parametrize(
        "content", [b"this is no database " * 500, b"SQLite format 3\x00" + b"\xff" * 5000]
    )
    def test_a_corrupt_file_says_what_to_do(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "results.db"
        path.write_bytes(content)
        with pytest.raises(EdgeflowError, match="damaged") as caught:
            Store.open(path)
        assert "move the file away" in caught.value.hint
        assert "\n" not in caught.value.message
        assert path.read_bytes() == content

    def test_damage_inside_is_found_when_it_is_read(
        self, tmp_path: Path, make_document: MakeDocument
    ) -> None:
        path = tmp_path / "results.db"
        with Store.open(path) as store:
            for _ in range(200):
                store.add(make_document(new_result_id()), {"samples_ns": list(range(500))})
        data = bytearray(path.read_bytes())
        data[8192:-4096] = os.urandom(len(data) - 12288)
        path.write_bytes(data)
        with pytest.raises(EdgeflowError, match="damaged"), Store.open(path) as store:
            for row in store.list(limit=None):
                store.series(row.id)

    def test_a_folder_in_the_place_of_the_file(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="is a folder"):
            Store.open(tmp_path)

    def test_a_file_in_the_place_of_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "home").write_text("x")
        with pytest.raises(UsageError, match="cannot be written") as caught:
            Store.open(tmp_path / "home" / "results.db")
        assert "EDGEFLOW_HOME" in caught.value.hint

    @pytest.mark.parametrize(
        ("options", "words"), [("ro", "cannot be written"), ("size=300k", "No space left on device")]
    )
    def test_a_disk_that_is_read_only_or_full(
        self, tmp_path: Path, make_document: MakeDocument, options: str, words: str
    ) -> None:
        mount = f"mount -t tmpfs -o {options} none {tmp_path}"
        if subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, check=False).returncode:
            pytest.skip("a small disk cannot be mounted here (needs unshare -rm)")
        script = f"""
import json, sys
from pathlib import Path
from edgeflow.errors import UsageError
from edgeflow.store import Store
document = json.loads(sys.argv[1])
path = Path({str(tmp_path)!r}) / "results.db"
try:
    with Store.open(path) as store:
        for index in range(1000):
            store.add(document | {{"result_id": str(index)}}, {{"samples_ns": range(5000)}})
except UsageError as error:
    print(error.message)
    with Store.open(path) as store:
        print(all(len(store.samples(row.id)) == 5000 for row in store.list(limit=None)))
"""
        arguments = [sys.executable, script, json.dumps(make_document("x"))]
        done = subprocess.run(
            ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$0" -c "$1" "$2"', *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        lines = done.stdout.splitlines()
        assert words in lines[0], done.stderr
        if options != "ro":
            assert lines[1] == "True", "what was committed before the disk was full is whole"
