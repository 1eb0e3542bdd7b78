"""A bundle is taken only if it is whole and of this version."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgeflow import __version__
from edgeflow.errors import UsageError
from edgeflow.progress import Silent
from edgeflow.toolchain import bundle
from edgeflow.toolchain.build import Agent, Worker
from edgeflow.toolchain.bundle import Bundle, find_bundle, write_bundle
from edgeflow.toolchain.targets import TARGETS
from edgeflow.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name in (bundle.VARIABLE, "EDGEFLOW_BUILD_CACHE"):
        monkeypatch.delenv(name, raising=False)
    return Workspace(tmp_path / "home", tmp_path)


def write(tmp_path: Path, folder: Path) -> dict[str, Any]:
    """A bundle of one target, of programs that are built already."""
    program, worker = tmp_path / "program", tmp_path / "worker"
    program.write_bytes(b"\x7fELF agent")
    worker.write_bytes(b"\x7fELF worker")
    built = SimpleNamespace(
        target=SimpleNamespace(name="linux-armv7"),
        agent=lambda: Agent("linux-armv7", "0123456789abcdef", "g++", program),
        worker=lambda runtime: Worker(runtime, "1.0", "linux-armv7", {"worker": worker}),
    )
    return write_bundle([built], lambda target: ["ncnn"], folder)  # type: ignore[list-item]


def test_a_core_that_is_too_large_is_told_with_its_figure(tmp_path: Path) -> None:
    program, notes = tmp_path / "program", list[str]()
    built = SimpleNamespace(
        target=TARGETS["linux-x86_64"],
        agent=lambda: Agent("linux-x86_64", "0123456789abcdef", "g++", program),
        progress=SimpleNamespace(note=notes.append),
    )
    for size_bytes in (bundle.CORE_LIMIT_BYTES, bundle.CORE_LIMIT_BYTES + 1):
        program.write_bytes(bytes(size_bytes))
        write_bundle([built], lambda target: [], tmp_path / "out")  # type: ignore[list-item]
    (note,) = notes
    assert "linux-x86_64: the core has 1,048,577 bytes" in note and "--compiler zig" in note


def found(workspace: Workspace) -> Bundle | None:
    return find_bundle(workspace, Silent())


def test_a_bundle_in_the_home_is_used(workspace: Workspace, tmp_path: Path) -> None:
    assert found(workspace) is None
    write(tmp_path, workspace.home / bundle.FOLDER)
    there = found(workspace)
    assert there is not None
    agent, worker = there.agent("linux-armv7"), there.worker("linux-armv7", "ncnn")
    assert agent is not None and worker is not None
    assert agent.build == "0123456789abcdef"
    assert agent.program.read_bytes() == b"\x7fELF agent" and agent.program.stat().st_mode & 0o100
    assert worker.files["worker"].read_bytes() == b"\x7fELF worker"
    assert there.agent("linux-aarch64") is None and there.worker("linux-armv7", "mnn") is None


def test_the_same_programs_make_the_same_bytes(workspace: Workspace, tmp_path: Path) -> None:
    first, second = write(tmp_path, tmp_path / "a"), write(tmp_path, tmp_path / "b")
    assert first["sha256"] == second["sha256"]
    assert hashlib.sha256(Path(second["archive"]).read_bytes()).hexdigest() == first["sha256"]
    assert (tmp_path / "a" / bundle.SUMS).read_text() == f"{first['sha256']}  {Path(first['archive']).name}\n"


def test_the_variable_names_the_archive_or_its_folder(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = write(tmp_path, tmp_path / "given")["archive"]
    for place in (archive, tmp_path / "given"):
        monkeypatch.setenv(bundle.VARIABLE, str(place))
        assert found(workspace) is not None
    monkeypatch.setenv(bundle.VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match=r"EDGEFLOW_AGENT_BUNDLE: .*nowhere"):
        found(workspace)


def test_a_damaged_bundle_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    archive = Path(write(tmp_path, workspace.home / bundle.FOLDER)["archive"])
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)
    with pytest.raises(UsageError, match="damaged"):
        found(workspace)


@pytest.mark.parametrize("sums", ["", "0000  other.tar.gz\n"])
def test_a_bundle_without_its_checksum_is_refused(workspace: Workspace, tmp_path: Path, sums: str) -> None:
    folder = workspace.home / bundle.FOLDER
    write(tmp_path, folder)
    (folder / bundle.SUMS).write_text(sums)
    with pytest.raises(UsageError, match="does not name"):
        found(workspace)
    (folder / bundle.SUMS).unlink()
    with pytest.raises(UsageError, match="SHA256SUMS"):
        found(workspace)


def test_a_bundle_of_another_version_is_refused(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as past:
        past.setattr(bundle, "__version__", "0.0.1")
        write(tmp_path, workspace.home / bundle.FOLDER)
    with pytest.raises(UsageError, match=rf"agents of edgeflow 0\.0\.1, but this is {__version__}"):
        found(workspace)
