"""The lab for tests: real virtual devices, started once, and a private adb server.

Needs root on Linux. Where the lab cannot start, these tests are skipped with the reason; with
EDGEFLOW_LAB=required (as CI sets it) they fail instead.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import Finished, environment, run_edgeflow
from edgeflow.config.devices import DeviceSpec, load_fleet
from edgeflow.devices.transports.adb import AdbTransport
from edgeflow.devices.transports.adb_server import AdbServer, adb_program
from edgeflow.errors import EdgeflowError
from edgeflow.lab import lab as labs
from edgeflow.lab.guests import Guest
from edgeflow.lab.network import set_link
from edgeflow.progress import Silent

KEPT = Path(__file__).resolve().parents[2] / ".cache" / "tests" / "lab"


@dataclass(frozen=True)
class Lab:
    """The running lab and where its adb server is."""

    home: Path
    adb_home: Path
    adb_port: int

    def guest(self, name: str) -> Guest:
        return labs.running_guest(name, self.home)

    def spec(self, name: str) -> DeviceSpec:
        return load_fleet(self.home / "lab/devices.yaml", self.home, self.home).get(name)

    def edgeflow(self, *words: object) -> Finished:
        """The command line, with the running lab devices."""
        return run_edgeflow(self.home, self.home, *self.options, *words, timeout_s=280)

    @contextmanager
    def edgeflow_started(self, *words: object) -> Iterator[subprocess.Popen[str]]:
        """The command line while it works, its progress on stderr; ended afterwards if it still runs."""
        with subprocess.Popen(
            [sys.executable, "-m", "edgeflow.cli.main", *self.options, *map(str, words)],
            cwd=self.home,
            env=environment(self.home, PYTHONUNBUFFERED="1"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    @property
    def options(self) -> tuple[str, str]:
        return ("--devices-file", str(self.home / "lab/devices.yaml"))

    @contextmanager
    def machine(self, name: str) -> Iterator[str]:
        """A virtual machine, as new, that is gone afterwards."""
        try:
            labs.up([name], self.home, Silent())
            yield name
        finally:
            labs.down([name], self.home)

    def adb(self, *words: str) -> str:
        """The adb program itself, on the private server."""
        done = subprocess.run(
            [adb_program(), "-P", str(self.adb_port), *words],
            env={**os.environ, "HOME": str(self.adb_home)},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two phones (one asks for keys) and an ARM64 Linux. What takes long to build is kept."""
    home = tmp_path_factory.mktemp("lab-home")
    (home / "lab").mkdir()
    for name in ("images", "keys"):
        (KEPT / name).mkdir(parents=True, exist_ok=True)
        (home / "lab" / name).symlink_to(KEPT / name)
    for name in ("zoo", "tools"):
        (KEPT.parent / name).mkdir(parents=True, exist_ok=True)
        (home / name).symlink_to(KEPT.parent / name)
    adb_home = tmp_path_factory.mktemp("adb-home")
    started = Lab(home, adb_home, _free_port())
    try:
        try:
            labs.up([], home, Silent())
        except EdgeflowError as error:
            reason = f"the lab cannot start here: {error.message} ({error.hint})"
            if os.environ.get("EDGEFLOW_LAB") == "required":
                pytest.fail(reason)
            pytest.skip(reason)
        yield started
    finally:
        if (home / "lab/state").is_dir():
            labs.down([], home)
        server = AdbServer(port=started.adb_port)
        try:
            server.query("host:version")
        except EdgeflowError:
            pass  # no test started it
        else:
            started.adb("kill-server")


@pytest.fixture(autouse=True)
def private_adb(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """adb's server and key of these tests alone: nobody's phones are touched."""
    monkeypatch.setenv("HOME", str(lab.adb_home))
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(lab.adb_port))
    monkeypatch.delenv("ADB_SERVER_SOCKET", raising=False)


@pytest.fixture
def phone(lab: Lab) -> Iterator[AdbTransport]:
    """A phone, plugged in, with nothing of an earlier test on it."""
    set_link(lab.guest("lab-pixel7"), up=True)
    transport = AdbTransport("lab-pixel7", address=lab.spec("lab-pixel7").address)
    transport.run(["sh", "-c", "rm -rf /data/local/tmp/*"], timeout_s=30)
    yield transport
    transport.close()
    set_link(lab.guest("lab-pixel7"), up=True)


def _free_port() -> int:
    """A port for the adb server, outside those where adb looks for emulators (5555 to 5585)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
