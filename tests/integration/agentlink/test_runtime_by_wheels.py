"""A device without the runtime gets it from this host: no pip and no network there, nothing sent twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conftest import environment
from edgeflow.agentlink.wheels import fetch, host_version, platform_for
from edgeflow.errors import DeviceError, ToolMissingError
from edgeflow.progress import Silent
from edgeflow.types import DeviceFacts
from edgeflow.workspace import Workspace

if TYPE_CHECKING:
    from conftest import Finished

pytestmark = pytest.mark.network

MODEL = "zoo:pplcnet-orientation"
PI5 = DeviceFacts(
    os="linux", os_version="Debian 12", kernel="6.6", arch="aarch64", abis=("arm64-v8a",), libc="glibc",
    libc_version="2.36", model="Raspberry Pi 5", soc="bcm2712", api_level=None, cores=4, clusters=(),
    memory_bytes=4 << 30, memory_available_bytes=3 << 30, disk_free_bytes=8 << 30, python_version="3.11.2",
)  # fmt: skip


def deploy(board: Any, runtime: str = "ncnn") -> Finished:
    done: Finished = board.edgeflow(
        "deploy", MODEL, "-d", "board", "-r", runtime, "--budget-s", "0.2", "--json"
    )
    return done


def test_deploy_brings_the_runtime_once_and_resumes_a_cut_push(board: Any) -> None:
    first = deploy(board)
    assert first.code == 0, first.err
    document = first.document
    site = document["runtime"]["site"]
    assert document["runtime"]["version"] == host_version("ncnn")
    assert (board.work / "site" / site / "ncnn").is_dir()
    assert "has no ncnn: it gets" in first.err and " MB" in first.err

    second = deploy(board)
    assert second.code == 0, second.err
    assert second.document["transfer"]["pushed_bytes"] == 0
    assert second.document["runtime"]["site"] == site
    assert "fetch" not in second.err

    # A push that was cut: the site was never made, one wheel is half there, one is missing.
    wheels = json.loads((board.work / "site" / site / "site.json").read_text())["wheels"]
    subprocess.run(["rm", "-r", str(board.work / "site" / site)], check=True)
    by_size = sorted(
        (board.work / "files" / sha256 for sha256 in wheels), key=lambda path: path.stat().st_size
    )
    missing, half = by_size[0], by_size[-1]
    cut_bytes = missing.stat().st_size + half.stat().st_size
    half.write_bytes(half.read_bytes()[:-1000])
    missing.unlink()
    third = deploy(board)
    assert third.code == 0, third.err
    assert third.document["transfer"]["pushed_bytes"] == cut_bytes
    assert third.document["transfer"]["skipped_bytes"] > 0


def test_a_deploy_killed_while_it_pushes_is_taken_up_by_the_next(board: Any) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "edgeflow.cli.main", "agent", "install", "-d", "board", "-r", "ncnn"],
        cwd=board.folder, env=environment(board.home, PYTHONUNBUFFERED="1"), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if "push ncnn" in line:
                process.send_signal(signal.SIGKILL)
        process.wait(30)
    installed = board.edgeflow("agent", "install", "-d", "board", "-r", "ncnn", "--json")
    assert installed.code == 0, installed.err
    again = board.edgeflow("agent", "install", "-d", "board", "-r", "ncnn", "--json")
    assert again.document["transfer"]["pushed_bytes"] == 0
    status = board.edgeflow("agent", "start", "-d", "board", "--json").document
    assert status["backends"]["ncnn"]["site"] == installed.document["sites"]["ncnn"]


def test_two_runtimes_share_what_both_need(board: Any) -> None:
    both = board.edgeflow("agent", "install", "-d", "board", "-r", "ncnn", "-r", "onnxruntime", "--json")
    assert both.code == 0, both.err
    assert set(both.document["sites"]) == {"ncnn", "onnxruntime"}
    assert both.document["transfer"]["skipped_bytes"] > 10_000_000  # numpy, sent with ncnn already
    done = deploy(board, "onnxruntime")
    assert done.code == 0, done.err
    assert done.document["runtime"]["version"] == host_version("onnxruntime")


def test_wheels_for_another_machine(wheels_home: Path, tmp_path: Path) -> None:
    workspace = Workspace(wheels_home, tmp_path)
    found = fetch("ncnn", platform_for("pi5", "ncnn", PI5), "pi5", workspace, Silent())
    assert found.version == host_version("ncnn")
    native = [path.name for path in found.files.values() if not path.name.endswith("-any.whl")]
    assert any(name.startswith("numpy-") for name in native)
    assert all("aarch64" in name for name in native), native


def test_no_wheel_for_an_old_system_is_told_before_anything_is_pushed(
    wheels_home: Path, tmp_path: Path
) -> None:
    from dataclasses import replace

    old = platform_for("nas", "onnxruntime", replace(PI5, libc_version="2.17", python_version="3.13.0"))
    with pytest.raises(DeviceError, match=r"nas: .*no wheel of .* for Python 3\.13, glibc 2\.17, aarch64"):
        fetch("onnxruntime", old, "nas", Workspace(wheels_home, tmp_path), Silent())


def test_an_index_that_cannot_be_reached_is_not_called_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(ToolMissingError, match="cannot be fetched"):
        fetch(
            "ncnn", platform_for("pi5", "ncnn", PI5), "pi5", Workspace(tmp_path / "home", tmp_path), Silent()
        )
