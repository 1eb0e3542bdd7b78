"""The built wheel carries all it needs: installed without the checkout, it deploys."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import CHECKOUT, environment


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the built wheel installed, and nothing else."""
    tmp_path = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(tmp_path),
        str(CHECKOUT),
    ]
    subprocess.run(build, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(installed)]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True, timeout=120)
    return installed


@pytest.mark.network
def test_the_wheel_deploys(installed: Path, tmp_path: Path, warm_home: Path) -> None:
    env = environment(warm_home, PYTHONPATH=str(installed))
    where = subprocess.run(
        [sys.executable, "-c", "import edgeflow as e, edgeflow_agent as a; print(e.__file__, a.__file__)"],
        cwd=tmp_path, env=env, check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    assert all(Path(path).is_relative_to(installed) for path in where)
    done = subprocess.run(
        [sys.executable, "-m", "edgeflow.cli.main", "deploy", "zoo:pplcnet-orientation", "-r", "onnxruntime",
         "--budget-s", "0.3", "--json"],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["prediction"]["label"] == "0"
    done = subprocess.run(
        [sys.executable, "-m", "edgeflow.cli.main", "report", "--result", "last", "-o", "r.html", "--json"],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "r.html").stat().st_size == json.loads(done.stdout)["bytes"] > 1_000_000
    notices = {path.name for path in (installed / "edgeflow" / "report" / "assets" / "echarts").iterdir()}
    assert notices == {"LICENSE", "LICENSE-d3", "NOTICE", "README.md", "echarts.min.js"}


@pytest.mark.skipif(
    shutil.which("cmake") is None or shutil.which("g++") is None, reason="needs CMake and g++"
)
def test_the_wheel_carries_the_native_agents_sources(installed: Path, tmp_path: Path) -> None:
    """Found, and whole enough that CMake configures them for this machine."""
    program = """
import sys
from pathlib import Path
from edgeflow import resources
from edgeflow.progress import Silent
from edgeflow.toolchain.build import Builder
from edgeflow.toolchain.cmake import build_project
from edgeflow.toolchain.runtimes import load_runtimes
from edgeflow.toolchain.targets import target_named
from edgeflow.workspace import Workspace

work = Path(sys.argv[1])
builder = Builder(target_named("host"), Workspace(work / "home", work), Silent())
told = {"EDGEFLOW_BUILD": builder.build_id, "EDGEFLOW_VERSION": "0.1.0", "EDGEFLOW_FLAGS": "test"}
build_project(
    resources.native_sources(), builder.target, builder.compiler, told, what="agent", targets=[],
    scratch=work, tools=work, progress=Silent(), configure_only=True,
)
print(resources.native_sources(), resources.toolchains(), *load_runtimes())
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=tmp_path, env=environment(tmp_path / "home", PYTHONPATH=str(installed)), text=True,
        capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    sources, toolchains, *runtimes = done.stdout.split()
    assert Path(sources).is_relative_to(installed) and Path(toolchains).is_relative_to(installed)
    assert "ncnn" in runtimes
    assert (tmp_path / "build" / "CMakeCache.txt").is_file()
