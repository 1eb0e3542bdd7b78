"""adb's server itself: where it is looked for, starting a real one, and what else may sit at its port."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgeflow.devices.transports.adb import AdbTransport
from edgeflow.devices.transports.adb_server import AdbServer, adb_program
from edgeflow.errors import DeviceError, ToolMissingError, UsageError


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def listening(answer: bytes) -> Iterator[int]:
    """A program at a port that answers everybody with the same bytes."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            with client:
                client.recv(1024)
                client.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield int(server.getsockname()[1])
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, "127.0.0.1:5037"),
        ({"ANDROID_ADB_SERVER_PORT": "15037"}, "127.0.0.1:15037"),
        ({"ANDROID_ADB_SERVER_ADDRESS": "10.0.0.1"}, "10.0.0.1:5037"),
        ({"ADB_SERVER_SOCKET": "tcp:15038", "ANDROID_ADB_SERVER_PORT": "1"}, "127.0.0.1:15038"),
        ({"ADB_SERVER_SOCKET": "tcp:farm:15038"}, "farm:15038"),
        ({"ADB_SERVER_SOCKET": "localfilesystem:/run/adb"}, "/run/adb"),
    ],
)
def test_the_server_is_where_adb_looks_for_it(environment: dict[str, str], address: str) -> None:
    assert str(AdbServer.of_environment(environment)) == f"the adb server at {address}"


@pytest.mark.parametrize(
    "environment",
    [
        {"ANDROID_ADB_SERVER_PORT": "adb"},
        {"ANDROID_ADB_SERVER_PORT": "70000"},
        {"ADB_SERVER_SOCKET": "5037"},
        {"ADB_SERVER_SOCKET": "tcp:"},
    ],
)
def test_an_address_that_is_none(environment: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="expected"):
        AdbServer.of_environment(environment)


def test_a_real_server_is_started_once_and_answers(
    free_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    server = AdbServer(port=free_port)
    try:
        server.start()
        server.start()
        assert int(server.query("host:version"), 16) >= 41
        assert [device for device in server.devices() if device.serial == "no-such-device"] == []
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(free_port))
        with pytest.raises(DeviceError, match="phone: no device with serial no-such-device"):
            AdbTransport("phone", serial="no-such-device")
    finally:
        kill = [adb_program(), "-P", str(free_port), "kill-server"]
        subprocess.run(kill, env={**os.environ, "HOME": str(tmp_path)}, timeout=20, check=True)


def test_phones_that_begin_at_once_start_one_server(
    free_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads, as in a sweep, and other processes: whose own start fails takes the server that is there."""
    monkeypatch.setenv("HOME", str(tmp_path))
    starts = tmp_path / "starts"
    program = tmp_path / "adb"
    program.write_text(f'#!/bin/sh\necho >>{starts}\n{adb_program()} "$@"\necho lost the race >&2\nexit 1\n')
    program.chmod(0o755)
    real = adb_program()
    monkeypatch.setenv("ADBUTILS_ADB_PATH", str(program))
    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda _: AdbServer(port=free_port).start(), range(4)))
        assert starts.read_text() == "\n"
    finally:
        kill = [real, "-P", str(free_port), "kill-server"]
        subprocess.run(kill, env={**os.environ, "HOME": str(tmp_path)}, timeout=20, check=True)


def test_an_old_server_is_a_version_clash() -> None:
    with listening(b"OKAY00040020") as port, pytest.raises(DeviceError, match=r"is adb 1\.0\.32") as caught:
        AdbServer(port=port).start()
    assert "kill-server" in caught.value.hint


@pytest.mark.parametrize("answer", [b"HTTP/1.0 400 Bad Request\r\n\r\n", b"OKAY0004oops", b"OKAYzzzz", b""])
def test_another_program_at_the_port(answer: bytes) -> None:
    with listening(answer) as port, pytest.raises(DeviceError, match="is no adb server") as caught:
        AdbServer(port=port).start()
    assert "ANDROID_ADB_SERVER_PORT" in caught.value.hint


def test_no_server_on_another_computer_is_not_started_here() -> None:
    with pytest.raises(DeviceError, match="does not run") as caught:
        AdbServer(path="/no/such/socket").start()
    assert "ADB_SERVER_SOCKET" in caught.value.hint


def test_no_adb_program(free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADBUTILS_ADB_PATH", "/no/such/adb")
    with pytest.raises(ToolMissingError, match="/no/such/adb cannot be started"):
        AdbServer(port=free_port).start()


def test_an_adb_program_that_fails_is_quoted(
    free_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "adb"
    program.write_text("#!/bin/sh\necho 'adb: cannot bind: Address already in use' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("ADBUTILS_ADB_PATH", str(program))
    with pytest.raises(DeviceError, match="cannot be started: adb: cannot bind: Address already in use"):
        AdbServer(port=free_port).start()
