"""Builds are kept by content, made once, and by one process at a time."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from edgeflow.errors import UsageError
from edgeflow.progress import Silent
from edgeflow.toolchain.store import BuildStore, build_folder, key_of
from edgeflow.workspace import Workspace

KEY = key_of("x")


def entry(store: BuildStore, text: str) -> Path:
    def fill(folder: Path, scratch: Path) -> None:
        (scratch / "meanwhile").write_text("gone afterwards")
        (folder / "program").write_text(text)

    return store.entry("agents", KEY, fill, "building x", Silent())


def test_an_entry_is_made_once(tmp_path: Path) -> None:
    store = BuildStore(tmp_path)
    assert store.find("agents", KEY) is None
    first = entry(store, "one")
    assert entry(store, "two") == first == store.find("agents", KEY)
    assert (first / "program").read_text() == "one"
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_damaged_entry_is_made_again(tmp_path: Path) -> None:
    store = BuildStore(tmp_path)
    (entry(store, "one") / "program").write_text("tampered with")
    assert (entry(store, "two") / "program").read_text() == "two"


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    store = BuildStore(tmp_path)

    def fill(folder: Path, scratch: Path) -> None:
        (folder / "half").write_text("")
        raise RuntimeError("compiler")

    with pytest.raises(RuntimeError):
        store.entry("agents", KEY, fill, "building x", Silent())
    assert store.find("agents", KEY) is None
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_second_process_waits_and_takes_the_firsts(tmp_path: Path) -> None:
    """Both say what they do; the second one's own filling would be seen."""
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from edgeflow.toolchain.store import BuildStore, key_of
        class Told:
            def step(self, text): print(text, flush=True)
            def update(self, done, total): pass
            def note(self, text): pass
        def fill(folder, scratch):
            print("filling", flush=True)
            sys.stdin.readline()
            (folder / "program").write_text(sys.argv[2])
        store = BuildStore(Path(sys.argv[1]))
        print(store.entry("agents", key_of("x"), fill, "building x", Told()), flush=True)
        """
    )

    def start(text: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-c", program, str(tmp_path), text]
        return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    first = start("first")
    second = None
    try:
        assert first.stdout is not None and first.stdout.readline() == "filling\n"
        second = start("second")
        assert second.stdout is not None
        assert second.stdout.readline() == "wait for another edgeflow, which is building x\n"
        told, _ = first.communicate("\n", timeout=60)
        also, _ = second.communicate("\n", timeout=60)
        assert also == told
        assert (Path(told.strip()) / "program").read_text() == "first"
    finally:
        for process in (first, second):
            if process is not None:
                process.kill()
                process.communicate()


def test_where_builds_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(tmp_path / "home", tmp_path)
    monkeypatch.delenv("EDGEFLOW_BUILD_CACHE", raising=False)
    assert build_folder(workspace) == tmp_path / "home" / "builds"
    monkeypatch.setenv("EDGEFLOW_BUILD_CACHE", str(tmp_path / "cache"))
    assert build_folder(workspace) == tmp_path / "cache"


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file"):
        entry(BuildStore(tmp_path / "file" / "cache"), "one")
