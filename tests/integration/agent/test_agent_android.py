"""The native daemon on what looks like an Android: an abstract socket, for its own user alone."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeflow_agent.channel import SocketStream
from edgeflow_agent.wire import Tensor

pytestmark = pytest.mark.parametrize("agent", ["native"], indirect=True)

NOBODY = 65534
X = Tensor("x", "float32", (2,), struct.pack("<2f", 1.0, 2.0), 0)
ENTER = 'mount --rbind /proc "$0/proc"; mount --rbind /dev "$0/dev"; exec chroot "$0" /edgeflow-agent "$@"'


@pytest.fixture
def phone(agent: Any, tmp_path: Path) -> Iterator[Callable[..., list[str]]]:
    """A root with nothing but the agent and the file that tells an Android: gives command lines within it."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare, for a root file system of its own")
    if agent.emulated or agent.watched:
        pytest.skip("this build needs files of this machine")
    root = tmp_path / "root"
    for folder in ("system/bin", "proc", "dev"):
        (root / folder).mkdir(parents=True)
    (root / "system/bin/app_process").touch()
    shutil.copy(agent.path, root / "edgeflow-agent")

    def argv(command: str, *options: str) -> list[str]:
        inside = [command, "--work", "/work folder", *options]
        return ["unshare", "--mount", "sh", "-c", ENTER, str(root), *inside]

    yield argv
    subprocess.run(argv("stop", "--force"), capture_output=True, timeout=60, check=False)


def run(argv: list[str], code: int = 0) -> Any:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if code == 0 else done.stderr


def abstract_names() -> set[str]:
    """Abstract sockets of this agent that somebody has bound (proc(5), /proc/net/unix)."""
    found = (line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines())
    return {name for name in found if name.startswith("@edgeflow-")}


def connect_as(user: int, name: str) -> bytes:
    """What a process of that user reads from an abstract socket until its end."""
    child = (
        "import os, socket, sys; os.setuid(int(sys.argv[1])); s = socket.socket(socket.AF_UNIX); "
        "s.connect('\\0' + sys.argv[2]); sys.stdout.buffer.write(s.recv(100))"
    )
    argv = [sys.executable, "-c", child, str(user), name[1:]]
    return subprocess.run(argv, capture_output=True, timeout=60, check=True).stdout


def test_a_phones_daemon_has_an_abstract_socket_for_its_own_user(
    phone: Callable[..., list[str]], tmp_path: Path, connect: Callable[..., Any]
) -> None:
    before = abstract_names()
    daemon = run(phone("daemon"))
    assert daemon["started"] and run(phone("status"))["pid"] == daemon["pid"]
    (name,) = abstract_names() - before
    assert name.startswith(f"@edgeflow-{os.getuid()}-")
    assert not list((tmp_path / "root" / "work folder").rglob("*.sock"))
    assert connect_as(os.getuid(), name).startswith(b"EDGF")
    assert connect_as(NOBODY, name) == b""
    client = connect(argv=phone("attach"))
    client.job("infer", [X])
    assert client.tensors()[0].data == X.data
    assert run(phone("stop", "--force")) == {"stopped": daemon["pid"]}
    assert abstract_names() == before


def test_a_stranger_who_took_the_name_is_not_spoken_to(phone: Callable[..., list[str]]) -> None:
    before = abstract_names()
    run(phone("daemon"))
    (name,) = abstract_names() - before
    run(phone("stop"))
    with socket.socket(socket.AF_UNIX) as impostor:
        os.seteuid(NOBODY)
        try:
            impostor.bind("\0" + name[1:])
            impostor.listen()
        finally:
            os.seteuid(0)
        assert "no daemon listens" in run(phone("status"), code=3)
        connection, _ = impostor.accept()
        with connection:
            assert SocketStream(connection).read_frame() is None  # not a byte was said
