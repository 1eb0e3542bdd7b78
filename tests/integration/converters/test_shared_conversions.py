"""Conversions that meet or are killed: one artifact, nothing half-written, and the next one works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TOLD = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_bad_input import request_for
from edgeflow_converters.pipeline import convert
_, _, model, cache, tools, runtime, last = sys.argv
def told(phase):
    print(phase, flush=True)
    if phase == last:
        os.kill(os.getpid(), signal.SIGKILL)
request = request_for(Path(model), runtime)
print("ARTIFACT", convert(request, Path(cache), told, tools_root=Path(tools)).path, flush=True)
"""
PHASES = ("inspect", "reference", "prepare", "convert", "verify", "commit")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    import onnx

    sys.path.insert(0, str(Path(__file__).parent))
    from test_bad_input import tiny_model

    path = tmp_path / "model.onnx"
    onnx.save(tiny_model(), path)
    return path


def start(model: Path, cache: Path, tools: Path, runtime: str, last: str = "") -> subprocess.Popen[str]:
    """A process that converts `model`, prints its phases, and kills itself as `last` begins."""
    here = str(Path(__file__).parent)
    argv = [sys.executable, "-c", TOLD, here, str(model), str(cache), str(tools), runtime, last]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.network
@pytest.mark.timeout(900)  # the first use of tflite installs 670 MB
@pytest.mark.parametrize("runtime", ["ncnn", "mnn", "tflite", "onnxruntime", "openvino"])
def test_of_two_at_once_one_converts_and_both_have_it(
    runtime: str, model: Path, tmp_path: Path, tools_root: Path
) -> None:
    cache = tmp_path / "cache"
    processes = [start(model, cache, tools_root, runtime) for _ in range(2)]
    answers = [process.communicate(timeout=600)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert len({answer[-1] for answer in answers}) == 1 and answers[0][-1].startswith("ARTIFACT ")
    assert sum("convert" in answer for answer in answers) == 1
    assert len(list(cache.glob("artifact/*/*"))) == 1 and not list(cache.glob("tmp/*"))


def test_one_killed_in_any_phase_hinders_nobody(model: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for phase in PHASES:
        killed = start(model, cache, tmp_path, "onnxruntime", last=phase)
        assert killed.communicate(timeout=120)[0].splitlines()[-1] == phase
        assert killed.returncode == -signal.SIGKILL
        assert not list(cache.glob("artifact/*/*"))
    left = list(cache.glob("tmp/*"))
    assert left
    for folder in left:  # a younger one may belong to a process that is about to lock it
        os.utime(folder, (time.time() - 60,) * 2)
    again = start(model, cache, tmp_path, "onnxruntime")
    assert again.communicate(timeout=120)[0].splitlines()[-1].startswith("ARTIFACT ")
    assert len(list(cache.glob("artifact/*/*"))) == 1 and not list(cache.glob("tmp/*"))
