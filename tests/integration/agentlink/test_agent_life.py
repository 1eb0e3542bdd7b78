"""The agent's life on a device: installed, an idle daemon, a service, removed without a trace."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LINUX = pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")


def start(board: Any, *options: str) -> dict[str, Any]:
    done = board.edgeflow("agent", "start", "-d", "board", *options, "--json")
    assert done.code == 0, done.err
    document: dict[str, Any] = done.document
    return document


def switches(pid: int) -> int:
    """How often any thread of a process went to sleep and was woken again (proc(5))."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if "ctxt_switches" in line:
                total += int(line.split()[1])
    return total


def processes_on(board: Any) -> list[str]:
    """Command lines of living processes that name the board's work folder; of the dead there is none."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes()
        except OSError:
            continue
        if str(board.work).encode() in words:
            found.append(words.decode().replace("\0", " "))
    return found


@LINUX
def test_an_idle_daemon_never_wakes(board: Any) -> None:
    pid = start(board)["pid"]
    while True:  # its first connections are still being closed
        before = switches(pid)
        select.select([], [], [], 0.2)
        if switches(pid) == before:
            break
    select.select([], [], [], 1.0)
    assert switches(pid) == before


@LINUX
def test_the_daemon_is_nobodys_child_and_in_a_session_of_its_own(board: Any) -> None:
    pid = start(board)["pid"]
    assert os.getsid(pid) != os.getsid(0)
    assert os.getpgid(pid) != os.getpgid(0)
    held = [descriptor.readlink() for descriptor in Path(f"/proc/{pid}/fd").iterdir()]
    assert not [path for path in held if str(path).startswith("/dev/pts")]


def test_uninstall_leaves_nothing(board: Any) -> None:
    pid = start(board)["pid"]
    done = board.edgeflow("agent", "uninstall", "-d", "board", "--json")
    assert done.code == 0, done.err
    assert done.document["removed"] and done.document["left"] == []
    assert not board.work.exists()
    assert processes_on(board) == [], pid
    again = board.edgeflow("agent", "uninstall", "-d", "board", "--json")
    assert again.code == 0 and not again.document["was_there"]
    assert not board.work.exists()


def test_uninstall_spares_what_is_not_ours(board: Any) -> None:
    start(board)
    (board.work / "thesis.txt").write_text("mine")
    (board.work / "my files").mkdir()
    done = board.edgeflow("agent", "uninstall", "-d", "board", "--json")
    assert done.document["left"] == ["my files", "thesis.txt"]
    assert sorted(path.name for path in board.work.iterdir()) == ["my files", "thesis.txt"]


def test_uninstall_is_refused_while_a_job_runs(board: Any) -> None:
    from edgeflow_agent.folder import JobLock

    start(board)
    held = JobLock(str(board.work / "lock")).acquire("alice@laptop")
    try:
        refused = board.edgeflow("agent", "uninstall", "-d", "board")
        assert refused.code == 3
        assert "alice@laptop" in refused.error_line
        assert (board.work / "agents").is_dir()
        assert board.edgeflow("agent", "status", "-d", "board", "--json").document["running"]
    finally:
        os.close(held)


def test_daemons_of_other_builds_are_ended_too(board: Any) -> None:
    """An agent of another version, as an earlier edgeflow left it."""
    from edgeflow_agent.identity import sources

    start(board)
    changed = board.folder / "old" / "edgeflow_agent"
    for name, content in sources().items():
        target = changed / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content + b"\n# older\n" if name == "log.py" else content)
    argv = [sys.executable, "-m", "edgeflow_agent", "daemon", "--work", str(board.work)]
    env = {**os.environ, "PYTHONPATH": str(changed.parent), "PYTHONSAFEPATH": "1"}
    subprocess.run(argv, cwd=changed.parent, env=env, check=True, capture_output=True, timeout=60)
    assert len(list((board.work / "run").iterdir())) == 2
    done = board.edgeflow("agent", "uninstall", "-d", "board", "--json")
    assert done.code == 0 and done.document["removed"], done.err
    assert processes_on(board) == []


def test_prune_by_command(board: Any) -> None:
    start(board)
    old = board.work / "files" / ("a" * 64)
    old.write_bytes(b"x" * 5000)
    os.utime(old, (1, 1))
    done = board.edgeflow("agent", "prune", "-d", "board", "--max-mib", "0", "--json")
    assert done.code == 0, done.err
    assert done.document["removed"] == [f"files/{old.name}"]
    assert not old.exists()
    assert board.edgeflow("agent", "status", "-d", "board", "--json").document["running"]


def test_without_systemd_a_service_is_refused_in_words_and_the_daemon_runs(
    board: Any, tmp_path: Path
) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    done = board.edgeflow(
        "agent", "start", "-d", "board", "--service", "--json",
        XDG_RUNTIME_DIR=str(nothing), DBUS_SESSION_BUS_ADDRESS=f"unix:path={nothing}/bus",
        XDG_CONFIG_HOME=str(nothing),
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.document["running"] and done.document["service"] is None
    assert "no service" in done.err and "reboot" in done.err
    assert list(nothing.iterdir()) == []
