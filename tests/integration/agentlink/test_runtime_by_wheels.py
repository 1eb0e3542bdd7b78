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


def install(board: Any, *runtimes: str) -> Finished:
    words = [word for runtime in runtimes for word in ("-r", runtime)]
    done: Finished = board.edgeflow("agent", "install", "-d", "board", *words, "--json")
    assert done.code == 0, done.err
    return done


def test_a_runtime_is_brought_once_and_a_cut_push_is_resumed(board: Any) -> None:
    first = install(board, "onnxruntime")
    site = first.document["sites"]["onnxruntime"]
    assert "has no onnxruntime: it gets" in first.err and " MB" in first.err
    assert (board.work / "site" / site / "onnxruntime").is_dir()
    assert install(board, "onnxruntime").document["transfer"]["pushed_bytes"] == 0

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
    resumed = install(board, "onnxruntime").document
    assert resumed["transfer"]["pushed_bytes"] == cut_bytes
    assert resumed["sites"]["onnxruntime"] == site

    done = board.edgeflow("deploy", MODEL, "-d", "board", "-r", "onnxruntime", "--budget-s", "0.2", "--json")
    assert done.code == 0, done.err
    assert done.document["runtime"]["site"] == site
    assert done.document["runtime"]["version"] == host_version("onnxruntime")
    assert done.document["prediction"]["label"] == "0"
    assert "fetch onnxruntime" not in done.err


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
    installed = install(board, "ncnn")
    assert install(board, "ncnn").document["transfer"]["pushed_bytes"] == 0
    status = board.edgeflow("agent", "start", "-d", "board", "--json").document
    assert status["backends"]["ncnn"]["site"] == installed.document["sites"]["ncnn"]


def test_two_runtimes_share_what_both_need(board: Any) -> None:
    both = install(board, "ncnn", "onnxruntime").document
    assert both["transfer"]["skipped_bytes"] > 10_000_000  # numpy, sent with ncnn already
    code = "import sys; sys.path.insert(1, sys.argv[1]); print(__import__(sys.argv[2]).__version__)"
    for runtime, site in both["sites"].items():
        argv = [str(board.python), "-I", "-c", code, str(board.work / "site" / site), runtime]
        told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        assert told.strip() == host_version(runtime)


def test_wheels_for_another_machine(wheels_home: Path, tmp_path: Path) -> None:
    workspace = Workspace(wheels_home, tmp_path)
    found = fetch("ncnn", platform_for("pi5", "ncnn", PI5), "pi5", workspace, Silent())
    assert found.version == host_version("ncnn")
    native = [path.name for path in found.files.values() if not path.name.endswith("-any.whl")]
    assert any(name.startswith("numpy-") for name in native)
    assert all("aarch64" in name for name in native), native


def test_paddle_lite_comes_with_a_numpy_that_it_can_read(wheels_home: Path, tmp_path: Path) -> None:
    """Its wheel names none, and out of the newest it copies nothing; of itself pip would prefer 2.12."""
    from dataclasses import replace

    facts = replace(PI5, arch="x86_64", abis=("x86_64",), python_version="3.8.18")
    platform = platform_for("nas", "paddlelite", facts)
    found = fetch("paddlelite", platform, "nas", Workspace(wheels_home, tmp_path), Silent())
    names = sorted("-".join(path.name.split("-")[:3]) for path in found.files.values())
    assert names == ["numpy-1.24.4-cp38", "paddlelite-2.13rc0-cp38"]
    assert found.version == host_version("paddlelite")


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
