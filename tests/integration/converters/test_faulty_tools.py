"""Every conversion tool, failing in every way: one line that names the tool, the model and the next step, the
documented exit code, and a cache that is whole."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import processes
from edgeflow.converter_errors import converter_errors
from edgeflow.errors import EdgeflowError
from edgeflow_converters import pipeline
from edgeflow_converters.base import ConvertRequest
from edgeflow_converters.errors import ConverterFailed
from edgeflow_converters.pipeline import convert
from faulty_tools import FAULTS, TOOLS

pytestmark = [pytest.mark.network, pytest.mark.timeout(900)]  # the first use of tflite installs 670 MB

TMPFS_MB = 8
CODES = dict.fromkeys(FAULTS, 4) | {"fills the disk": 2}
WORDS = {
    "aborts": "crashed (SIGABRT)",
    "exits": "exited with code 3: cannot do it",
    "hangs": "did not end within",
    "lies": "wrote no",
    "fills the disk": "no space left",
}


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> ConvertRequest:
    """A 3x3 convolution with what every precision needs."""
    source = tmp_path_factory.mktemp("faulty") / "model.onnx"
    random = np.random.default_rng(3)
    weights = numpy_helper.from_array(random.normal(size=(4, 4, 3, 3)).astype("f4"), "w")
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 8, 8]) for name in "xy"]
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1], name="conv")
    graph = helper.make_graph([node], "model", ports[:1], ports[1:], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), source)
    samples = [{"x": random.normal(size=(1, 4, 8, 8)).astype("f4")} for _ in range(2)]
    return ConvertRequest(source, "", "", {}, samples, calibration=samples, timeout_s=60)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all: what fails must leave it as it was."""
    return tmp_path_factory.mktemp("faulty-cache")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where sound products are kept."""
    return tmp_path_factory.mktemp("good")


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of a few megabytes."""
    folder = tmp_path_factory.mktemp("small-disk")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_MB}m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a small file system: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def unprepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out what comes before the tool, which the model does not need, and the second try with another
    variant of the model."""

    def once(job: Any, folder: Path, simplify: bool) -> tuple[Path, list[str]]:
        if not simplify:
            raise ConverterFailed("the first variant's failure is the one that counts")
        return job.request, []

    monkeypatch.setattr(pipeline._Job, "_prepare", once)


def _pairs() -> list[tuple[str, str]]:
    """Each tool with two faults, each fault with two tools; EDGEFLOW_TESTS=whole: all with all."""
    faults = list(FAULTS)
    if os.environ.get("EDGEFLOW_TESTS") == "whole":
        return [(name, fault) for name in TOOLS for fault in faults]
    return [
        (name, faults[(number + step) % len(faults)]) for number, name in enumerate(TOOLS) for step in (0, 3)
    ]


@pytest.mark.parametrize(("name", "fault"), _pairs())
@pytest.mark.usefixtures("unprepared")
def test_a_tool_that_fails(
    name: str,
    fault: str,
    request_: ConvertRequest,
    cache: Path,
    good: Path,
    tools_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    tool = TOOLS[name]
    wanted = replace(request_, runtime=tool.runtime, precision=tool.precision)
    where = request.getfixturevalue("small_disk") / name if fault == "fills the disk" else cache
    kept, pids = good / name, tmp_path / "pids"
    kept.mkdir(exist_ok=True)
    environment = {"FAULT": fault, "GOOD": kept, "PIDS": pids, "MODEL": request_.source}
    for key, value in {**environment, **tool.put(tmp_path / "tools", tools_root)}.items():
        monkeypatch.setenv(key, os.fspath(value))
    if fault == "hangs":
        wanted = replace(wanted, timeout_s=2.0)

    error = failure(wanted, where, tmp_path / "tools")
    while fault == "hangs" and not pids.is_file():  # a busy machine: not even begun
        wanted = replace(wanted, timeout_s=2 * wanted.timeout_s)
        error = failure(wanted, where, tmp_path / "tools")

    assert error.exit_code == CODES[fault], error.message
    assert "\n" not in error.message and error.hint
    assert WORDS.get(fault, "") in error.message
    if fault == "leaves unknown layers":
        assert tool.unknown in error.message
    if fault != "fills the disk":
        assert any(word in error.message for word in tool.names) and "model.onnx" in error.message
    assert not list(where.glob("artifact/*/*")) and not list(where.glob("tmp/*"))
    if fault == "hangs":
        assert len(pids.read_text().splitlines()) == 1  # no other way to quantize is waited for as long
        for pid in map(int, pids.read_text().split()):
            assert processes.has_ended(pid, timeout_s=10)  # killed; going takes it a moment


def failure(request: ConvertRequest, cache: Path, tools: Path) -> EdgeflowError:
    """How a conversion that must fail fails, as `edgeflow` tells it."""
    with pytest.raises(EdgeflowError) as caught, converter_errors():
        convert(request, cache, lambda phase: None, tools_root=tools)
    return caught.value
