"""The main job on another architecture: ARM64 Linux over the real sshd, wheels brought by the host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = [pytest.mark.lab, pytest.mark.network, pytest.mark.timeout(900)]

DEVICE = "lab-arm64"


@pytest.fixture(scope="module")
def home(lab: Lab) -> Path:
    return lab.home


def edgeflow(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgeflow.cli.main", "--devices-file", str(home / "lab/devices.yaml"), *words],
        cwd=home, env={**os.environ, "EDGEFLOW_HOME": str(home)}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=800, check=False,
    )  # fmt: skip


def deploy(home: Path, runtime: str) -> dict[str, Any]:
    done = edgeflow(
        home, "deploy", "zoo:pplcnet-orientation", "-d", DEVICE, "-r", runtime, "--agent", "python",
        "--budget-s", "1", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def held_to_account(result: dict[str, Any], runtime: str) -> None:
    """Right, on ARM, and not a number that anybody may quote."""
    assert result["status"] == "ok"
    assert result["numerics"]["verdict"] == "pass"
    assert result["prediction"]["label"] == result["prediction"]["expected"]
    assert result["runtime"]["name"] == runtime
    assert result["agent"]["kind"] == "python"
    assert result["device"]["facts"]["arch"] == "aarch64"
    assert result["device"]["facts"]["emulated"]
    assert result["validity"]["state"] == "invalid"
    assert "emulated" in result["validity"]["reasons"]


def test_ncnn_with_a_core_of_its_own(home: Path) -> None:
    result = deploy(home, "ncnn")
    held_to_account(result, "ncnn")
    assert result["agent"]["carrier"] == "one-shot"


@pytest.fixture
def daemon(home: Path) -> Iterator[None]:
    started = edgeflow(home, "agent", "start", "-d", DEVICE, "--agent", "python")
    assert started.returncode == 0, started.stderr
    try:
        yield
    finally:
        edgeflow(home, "agent", "stop", "-d", DEVICE, "--force")


@pytest.mark.usefixtures("daemon")
def test_onnxruntime_through_the_daemon(home: Path) -> None:
    result = deploy(home, "onnxruntime")
    held_to_account(result, "onnxruntime")
    assert result["agent"]["carrier"] == "daemon"
    assert result["memory"]["peak_rss_bytes"] > 0
