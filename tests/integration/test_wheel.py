"""The built wheel carries all it needs: installed without the checkout, it deploys."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import CHECKOUT, environment


@pytest.mark.network
def test_the_wheel_deploys(tmp_path: Path, warm_home: Path) -> None:
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
