"""A device whose runtime cannot read the artifact is refused before the push: by deploy, run and sweep."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conftest import make_home, run_edgeflow
from edgeflow.agentlink.provision import Transfer
from edgeflow.agentlink.runtimes import Provided
from edgeflow.deploy.preflight import check_needs
from edgeflow.deploy.request import DeployRequest
from edgeflow.errors import DeviceError
from edgeflow_converters.needs import Needs

MODEL = "zoo:pplcnet-orientation"


@pytest.fixture(scope="module")
def old_board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """This machine with a Python whose runtimes are of versions of its own choosing."""
    folder = tmp_path_factory.mktemp("old")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    packages = next((folder / "venv" / "lib").glob("python3*")) / "site-packages"

    def has(package: str, version: str) -> None:
        for old in packages.glob(f"{package}-*.dist-info"):
            old.rmdir()
        (packages / package).mkdir(exist_ok=True)
        (packages / package / "__init__.py").write_text("raise ImportError('only its version counts here')")
        (packages / f"{package}-{version}.dist-info").mkdir()

    python, work = folder / "venv" / "bin" / "python", folder / "work"
    (folder / "devices.yaml").write_text(
        f"devices:\n  board: {{transport: local, python: {python}, work_dir: {work}}}\n"
    )
    home = make_home(folder / "home")
    yield SimpleNamespace(
        has=has,
        work=work,
        edgeflow=lambda *words: run_edgeflow(home, folder, *words),
        pushed=lambda: [path for path in (work / "files").rglob("*") if path.is_file()],
    )
    done = run_edgeflow(home, folder, "agent", "uninstall", "-d", "board", "--force", "--json")
    assert done.code == 0, done.err


@pytest.mark.network
def test_deploy_and_run_refuse_by_name_with_the_cure_and_push_nothing(old_board: Any) -> None:
    old_board.has("onnxruntime", "1.5.2")
    done = old_board.edgeflow("deploy", MODEL, "-d", "board", "-r", "onnxruntime", "--json")
    assert done.code == 3, done.err
    assert "board: its onnxruntime is 1.5.2" in done.error_line and "operator set" in done.error_line
    assert "install onnxruntime 1." in done.err and "brings its own" in done.err
    image = Path(__file__).parents[3] / ".cache" / "tests" / "zoo" / "pplcnet-orientation"
    picture = next(path for path in image.rglob("*.png"))
    done = old_board.edgeflow("run", MODEL, "-d", "board", "-r", "onnxruntime", "--input", picture)
    assert done.code == 3 and "its onnxruntime is 1.5.2" in done.error_line
    assert not old_board.pushed()


@pytest.mark.network
def test_a_sweep_refuses_it_for_that_cell_and_pushes_nothing(old_board: Any) -> None:
    old_board.has("onnxruntime", "1.4.0")
    words = ("--devices", "board", "--runtimes", "onnxruntime", "--models", MODEL, "--json")
    done = old_board.edgeflow("sweep", *words)
    assert done.code == 1, done.err
    (job,) = done.document["jobs"]
    assert job["status"] == "failed" and job["error"]["kind"] == "device"
    assert "board: its onnxruntime is 1.4.0" in job["error"]["message"]
    assert not old_board.pushed()


NEEDS = Needs("some format", "1.5", "2", "a table")
ASKED = DeployRequest(device="board", runtime="onnxruntime")


def why(needs: Needs | None, version: str | None, site: str | None = None, **facts: Any) -> str:
    artifact: Any = SimpleNamespace(needs=needs, runtime="onnxruntime")
    known: Any = SimpleNamespace(**{"abis": ("arm64-v8a",), "libc": "glibc", **facts})
    try:
        return check_needs(ASKED, artifact, known, Provided(site, version, Transfer()))
    except DeviceError as error:
        return f"refused: {error.message} {error.hint}"


def test_only_what_is_out_of_the_range_is_refused() -> None:
    assert why(NEEDS, "1.5.0") == why(NEEDS, "1.9") == why(None, "0.1") == ""
    assert "its onnxruntime is 1.4.9" in why(NEEDS, "1.4.9") and "1.5 or newer, below 2" in why(
        NEEDS, "1.4.9"
    )
    assert "refused" in why(NEEDS, "2.0")
    assert "update what the device has" in why(NEEDS, "1.4.9", site="0123")


def test_a_version_that_is_not_told_is_said_to_be_unchecked() -> None:
    assert "does not tell the version" in why(NEEDS, None) and "refused" not in why(NEEDS, None)
    assert "does not tell" in why(NEEDS, "unknown")


def test_an_artifact_for_one_abi_or_libc_is_refused_elsewhere() -> None:
    only = replace(NEEDS, abis=("x86_64",))
    assert "for ABI x86_64, the device has arm64-v8a" in why(only, "1.6")
    assert why(only, "1.6", abis=("x86_64",)) == ""
    assert "for libc glibc, the device has musl" in why(replace(NEEDS, libcs=("glibc",)), "1.6", libc="musl")
