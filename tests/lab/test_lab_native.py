"""The main job on a phone: the native agent, built here, through a real adb server to a real adbd."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgeflow.errors import EdgeflowError
from edgeflow.lab import lab as labs
from edgeflow.progress import Silent

if TYPE_CHECKING:
    from conftest import Lab
    from edgeflow.devices.transports.adb import AdbTransport

pytestmark = [pytest.mark.lab, pytest.mark.network, pytest.mark.timeout(1800)]

PHONE, ARMHF = "lab-pixel7", "lab-armhf"
MODEL = "zoo:pplcnet-orientation"
KEPT = Path(__file__).resolve().parents[2] / ".cache" / "tests"
BUILDS = os.environ.get("EDGEFLOW_BUILD_CACHE") or str(KEPT / "builds")


@pytest.fixture(scope="module")
def home(lab: Lab) -> Path:
    """The lab's home, with the packages that other tests pulled."""
    for name in ("zoo", "tools"):
        (KEPT / name).mkdir(parents=True, exist_ok=True)
        if not (lab.home / name).exists():
            (lab.home / name).symlink_to(KEPT / name)
    return lab.home


def edgeflow(home: Path, *words: str, code: int = 0) -> dict[str, Any]:
    """One command with --json; its document, which holds `stderr` as well."""
    done = subprocess.run(
        [sys.executable, "-m", "edgeflow.cli.main", "--devices-file", str(home / "lab/devices.yaml"), *words,
         "--json"],
        cwd=home, env={**os.environ, "EDGEFLOW_HOME": str(home), "EDGEFLOW_BUILD_CACHE": BUILDS},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1700, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return {**document, "stderr": done.stderr}


@pytest.fixture(scope="module")
def built(home: Path) -> Path:
    """The phone's agent and ncnn, with the layers of usual models, kept from run to run."""
    edgeflow(home, "agent", "build", "--target", "android-arm64-static", "-r", "ncnn", "--layers", "common")
    return home


def deploy(home: Path, device: str, runtime: str = "ncnn") -> dict[str, Any]:
    return edgeflow(home, "deploy", MODEL, "-d", device, "-r", runtime, "--budget-s", "1")


def held_to_account(result: dict[str, Any], abi: str) -> None:
    """Right, by the native agent, and not a number that anybody may quote."""
    assert result["status"] == "ok"
    assert result["numerics"]["verdict"] == "pass"
    assert result["prediction"]["label"] == result["prediction"]["expected"]
    assert result["agent"]["kind"] == "native"
    assert result["device"]["facts"]["abis"][0] == abi
    assert result["validity"]["state"] == "invalid" and "emulated" in result["validity"]["reasons"]
    assert result["memory"]["interpreter_bytes"] is None
    assert result["memory"]["peak_rss_bytes"] > 0


def test_a_phone_runs_a_model_and_gets_nothing_twice(built: Path, phone: AdbTransport) -> None:
    first = deploy(built, PHONE)
    held_to_account(first, "arm64-v8a")
    assert "android-arm64-static" in first["agent"]["flags"]
    layers = first["runtime"]["layers"]  # "all", where somebody built that into the same cache
    assert layers == "all" or "common layers only" in first["stderr"]
    assert first["transfer"]["pushed_bytes"] > 1 << 20
    assert first["device"]["facts"]["python_version"] is None
    second = deploy(built, PHONE)
    held_to_account(second, "arm64-v8a")
    assert second["transfer"]["pushed_bytes"] == 0
    assert second["runtime"]["site"] == first["runtime"]["site"]


@pytest.mark.parametrize("runtime", ["onnxruntime", "tflite", "mnn"])
def test_a_vendors_library_runs_on_the_c_library_that_it_brings(
    built: Path, phone: AdbTransport, runtime: str
) -> None:
    """Android has no glibc: the worker is started through the loader that was pushed beside it."""
    result = deploy(built, PHONE, runtime)
    held_to_account(result, "arm64-v8a")
    assert result["runtime"]["name"] == runtime


def test_the_daemons_life_on_a_phone(built: Path, phone: AdbTransport) -> None:
    assert not edgeflow(built, "agent", "status", "-d", PHONE)["running"]
    installed = edgeflow(built, "agent", "install", "-d", PHONE, "-r", "ncnn")
    assert installed["kind"] == "native" and installed["sites"]["ncnn"]
    started = edgeflow(built, "agent", "start", "-d", PHONE)
    try:
        assert started["running"] and started["agent"]["build"] == installed["build"]
        result = deploy(built, PHONE)
        held_to_account(result, "arm64-v8a")
        assert result["agent"]["carrier"] == "daemon"
        assert edgeflow(built, "agent", "status", "-d", PHONE)["pid"] == started["pid"]
        assert edgeflow(built, "agent", "logs", "-d", PHONE)["lines"]
        assert not edgeflow(built, "agent", "prune", "-d", PHONE)["busy"]
    finally:
        gone = edgeflow(built, "agent", "uninstall", "-d", PHONE, "--force")
    assert gone["removed"] and gone["left"] == []
    left = phone.run(["sh", "-c", "ls -A /data/local/tmp; ps -A"], timeout_s=30).text
    assert "edgeflow" not in left


def test_a_phone_without_python_is_no_problem(home: Path, phone: AdbTransport) -> None:
    (report,) = edgeflow(home, "devices", "check", PHONE)["devices"]
    assert report["state"] == "ok", report


def test_what_neither_agent_can_is_refused_by_name(home: Path, phone: AdbTransport) -> None:
    told = edgeflow(home, "deploy", MODEL, "-d", PHONE, "-r", "ncnn", "--agent", "python", code=3)
    assert "Android has no Python" in told["error"]["message"]


@pytest.fixture
def armhf(home: Path) -> Iterator[Path]:
    try:
        labs.up([ARMHF], home, Silent())
    except EdgeflowError as error:
        # Not one of the usual devices: a mirror may lack its packages for hours.
        pytest.skip(f"lab-armhf cannot start: {error.message}")
    yield home
    labs.down([ARMHF], home)


def test_a_32_bit_board_gets_the_native_agent(armhf: Path) -> None:
    """There is no numpy for it, so no Python agent with ncnn."""
    edgeflow(armhf, "agent", "build", "--target", "linux-armv7", "-r", "ncnn", "--layers", "common")
    result = deploy(armhf, ARMHF)
    held_to_account(result, "armeabi-v7a")
    assert "armv7" in result["stderr"]  # the choice is told
