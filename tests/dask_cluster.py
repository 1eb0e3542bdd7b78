"""A real Dask cluster on loopback: a scheduler and lab hosts, each a process, ended by its own handle."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conftest import environment, make_home

SETTINGS = {"DASK_DISTRIBUTED__ADMIN__LOG_FORMAT": "%(message)s"}


class Told:
    """The lines that a process says on stderr; a reader can wait for one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines: list[str] = []
        self._process = process
        self._more = threading.Condition()
        self._over = False
        threading.Thread(target=self._read, daemon=True).start()

    def wait_for(self, text: str, *, after: int = 0, timeout_s: float = 60) -> int:
        """Until a line with `text`, not among the first `after`, was said; how many lines there were then."""

        def found() -> int:
            return next((at + 1 for at, line in enumerate(self.lines) if at >= after and text in line), 0)

        with self._more:
            self._more.wait_for(lambda: found() or self._over, timeout_s)
            at = found()
        assert at, f"never said {text!r}: {''.join(self.lines)}"
        return at

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._more:
                self.lines.append(line)
                self._more.notify_all()
        with self._more:
            self._over = True
            self._more.notify_all()


@dataclass
class LabHost:
    """`edgeflow worker` with devices of its own; it can be killed and started again."""

    folder: Path
    scheduler: str
    devices: str
    process: subprocess.Popen[str] | None = None
    told: Told | None = None

    def start(self) -> Told:
        if self.process is not None and self.process.poll() is None and self.told is not None:
            return self.told
        work = self.folder / "work"
        entries = [
            f"  {name}: {{transport: local, work_dir: {work}-{name}, tags: [rack]}}\n"
            for name in self.devices
        ]
        self.folder.mkdir(exist_ok=True)
        (self.folder / "devices.yaml").write_text("devices:\n" + "".join(entries))
        home = self.folder / "home"
        if not home.exists():
            make_home(home)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edgeflow.cli.main", "worker", f"dask://{self.scheduler}"],
            cwd=self.folder, env=environment(home, **SETTINGS), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.told = Told(self.process)
        self.told.wait_for("joined")
        return self.told

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@dataclass
class DaskCluster:
    """A scheduler and two lab hosts: `left` has devices a and b, `right` has c."""

    folder: Path
    process: subprocess.Popen[str] | None = None
    address: str = ""
    hosts: dict[str, LabHost] = field(default_factory=dict)

    def __enter__(self) -> DaskCluster:
        self.start_scheduler()
        for name, devices in (("left", "ab"), ("right", "c")):
            self.hosts[name] = LabHost(self.folder / name, self.address, devices)
        return self

    def start_scheduler(self) -> None:
        """A new one; where there was one before, at the address that it had."""
        port = self.address.rpartition(":")[2] or "0"
        words = ["--host", "127.0.0.1", "--port", port, "--dashboard-address", "127.0.0.1:0"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_scheduler", *words],
            env=environment(self.folder, **SETTINGS), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        told = Told(self.process)
        line = told.lines[told.wait_for("Scheduler at:") - 1]
        self.address = line.rpartition("//")[2].strip()

    def __exit__(self, *error: Any) -> None:
        for host in self.hosts.values():
            host.kill()
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    @property
    def executor(self) -> tuple[str, str]:
        return ("--executor", f"dask://{self.address}")

    def start(self) -> tuple[LabHost, LabHost]:
        """Both lab hosts, running."""
        for host in self.hosts.values():
            host.start()
        return self.hosts["left"], self.hosts["right"]
