"""The main job over the real sshd: this machine as an SSH device, one-shot and by daemon."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import Finished, run_edgeflow
from sshd import MISSING, SSHD, Sshd, running_sshd

pytestmark = [pytest.mark.skipif(SSHD is None, reason=MISSING), pytest.mark.network]

DEPLOY = ("deploy", "zoo:pplcnet-orientation", "--device", "sshhost", "--budget-s", "0.3", "--json")


@dataclass(frozen=True)
class Lab:
    """A devices file with one SSH device, and the command line with it."""

    server: Sshd
    folder: Path
    home: Path

    def entry(self, **changes: object) -> None:
        device = self.server.entry(python=sys.executable, work_dir=str(self.folder / "work"), **changes)
        (self.folder / "devices.yaml").write_text(yaml.safe_dump({"devices": {"sshhost": device}}))

    def edgeflow(self, *words: str) -> Finished:
        file = self.folder / "devices.yaml"
        return run_edgeflow(
            self.home,
            self.folder,
            "--devices-file",
            file,
            *words,
            HOME=str(self.server.home),
            SSH_AUTH_SOCK="",
        )

    def agent(self, *words: str) -> dict[str, Any]:
        done = self.edgeflow("agent", *words, "--device", "sshhost", "--json")
        assert done.code == 0, done.err
        return done.document


@pytest.fixture
def lab(tmp_path: Path, warm_home: Path) -> Iterator[Lab]:
    with running_sshd(tmp_path / "sshd") as server:
        lab = Lab(server, tmp_path, warm_home)
        lab.entry()
        yield lab


def test_deploy_with_a_core_of_its_own_and_a_second_one_pushes_nothing(lab: Lab) -> None:
    done = lab.edgeflow(*DEPLOY, "--runtime", "ncnn")
    assert done.code == 0, done.err
    document = done.document
    assert document["device"]["name"] == "sshhost"
    assert document["device"]["transport"] == "ssh"
    assert document["agent"]["carrier"] == "one-shot"
    assert document["numerics"]["verdict"] == "pass"
    assert document["latency_ms"]["n"] >= 3
    assert document["transfer"]["pushed_bytes"] > 0
    assert done.err.count("\n") < 40
    again = lab.edgeflow(*DEPLOY, "--runtime", "ncnn").document
    assert again["transfer"]["pushed_bytes"] == 0
    assert again["prediction"] == document["prediction"]
    left = [path for path in (lab.folder / "work").rglob("*") if path.name.endswith(".part")]
    assert left == []


def test_deploy_by_the_daemon_that_outlives_its_connections(lab: Lab) -> None:
    started = lab.agent("start")
    try:
        done = lab.edgeflow(*DEPLOY, "--runtime", "onnxruntime")
        assert done.code == 0, done.err
        assert done.document["agent"]["carrier"] == "daemon"
        assert done.document["numerics"]["verdict"] == "pass"
        status = lab.agent("status")
        assert (status["running"], status["pid"], status["busy"]) == (True, started["pid"], None)
    finally:
        stopped = lab.agent("stop", "--force")
    assert stopped["stopped"]
    assert not lab.agent("status")["running"]


def test_check_and_deploy_name_what_is_wrong_and_its_cure(lab: Lab) -> None:
    checked = lab.edgeflow("devices", "check", "sshhost")
    assert checked.code == 0, checked.out + checked.err
    (lab.server.ssh_dir / "known_hosts").write_text("")
    refused = lab.edgeflow(*DEPLOY, "--runtime", "ncnn")
    assert refused.code == 3
    assert "sshhost: the host key of" in refused.error_line
    assert "Traceback" not in refused.err
    assert "ssh-keyscan" in refused.err
