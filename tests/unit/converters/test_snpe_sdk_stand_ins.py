"""Command lines for Qualcomm's SDK, against stand-ins of its tools: nothing is proved with its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgeflow_converters.base import ConvertRequest
from edgeflow_converters.errors import ConverterFailed, ToolMissing
from edgeflow_converters.locks import load_locks
from edgeflow_converters.packages import RUNTIME_PINS
from edgeflow_converters.targets import snpe, snpe_sdk

TOOLS = "bin/x86_64-linux-clang"
STAND_IN = """#!/usr/bin/env python3
import json, os, sys
from pathlib import Path
if "--help" in sys.argv:
    print("--float_bitwidth --act_bitwidth"); sys.exit()
with open(os.environ["STAND_IN_CALLS"], "a") as file:
    file.write(json.dumps([Path(sys.argv[0]).name, *sys.argv[1:]]) + "\\n")
named = dict(zip(sys.argv[1:], sys.argv[2:]))
Path(named.get("--output_path") or named["--output_dlc"]).write_bytes(b"stand-in")
"""


@pytest.fixture
def request_of(tmp_path: Path) -> Callable[[str], ConvertRequest]:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 4, 4])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "m.onnx")
    sets = [{"x": np.full((1, 3, 4, 4), number, np.float32)} for number in range(2)]
    return lambda precision: ConvertRequest(
        source=tmp_path / "m.onnx", runtime="snpe", precision=precision, input_shapes={}, samples=sets,
        calibration=sets,
    )  # fmt: skip


@pytest.fixture
def sdk_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes a folder as the SDK is laid out, with these tools in it, and names it in a variable."""

    def make(*tools: str, variable: str = "QAIRT_SDK_ROOT", script: str = STAND_IN) -> Path:
        root = tmp_path / "qairt" / "2.31.0.250130"
        (root / TOOLS).mkdir(parents=True)
        for name in tools:
            (root / TOOLS / name).write_text(script)
            (root / TOOLS / name).chmod(0o755)
        monkeypatch.setenv(variable, str(root))
        monkeypatch.setenv("STAND_IN_CALLS", str(tmp_path / "calls"))
        return root

    for name in snpe_sdk.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return make


def calls(folder: Path) -> list[list[str]]:
    return [json.loads(line) for line in (folder / "calls").read_text().splitlines()]


def converted(request: ConvertRequest, tmp_path: Path, activations: int = 8) -> list[list[Any]]:
    found = snpe_sdk.find()
    assert found is not None
    snpe_sdk.convert(found, request, tmp_path / "out.dlc", tmp_path, activations=activations)
    assert (tmp_path / "out.dlc").read_bytes() == b"stand-in"
    return calls(tmp_path)


def test_without_a_variable_there_is_no_sdk(sdk_of: Callable[..., Path]) -> None:
    assert snpe_sdk.find() is None


def test_stand_ins_of_qairt_tools_get_the_documented_words(
    sdk_of: Callable[..., Path], request_of: Callable[[str], ConvertRequest], tmp_path: Path
) -> None:
    sdk_of("qairt-converter", "snpe-onnx-to-dlc", "qairt-quantizer", "snpe-dlc-quantize")
    found = snpe_sdk.find()
    assert found is not None
    assert (found.version, found.converter) == ("2.31.0.250130", "qairt-converter")
    (single,) = converted(request_of("fp32"), tmp_path)
    assert single == [
        "qairt-converter", "--input_network", str(tmp_path / "m.onnx"),
        "--output_path", str(tmp_path / "out.dlc"), "-d", "x", "1,3,4,4",
    ]  # fmt: skip


def test_a_stand_in_of_fp16_gets_the_flag_that_its_help_names(
    sdk_of: Callable[..., Path], request_of: Callable[[str], ConvertRequest], tmp_path: Path
) -> None:
    sdk_of("snpe-onnx-to-dlc", variable="SNPE_ROOT")
    assert converted(request_of("fp16"), tmp_path)[0][-2:] == ["--float_bitwidth", "16"]


def test_stand_ins_of_the_quantizer_get_the_calibration_data(
    sdk_of: Callable[..., Path], request_of: Callable[[str], ConvertRequest], tmp_path: Path
) -> None:
    sdk_of("snpe-onnx-to-dlc", "snpe-dlc-quantize", variable="SNPE_ROOT")
    first, second = converted(request_of("int8"), tmp_path, activations=16)
    assert (first[0], second[0]) == ("snpe-onnx-to-dlc", "snpe-dlc-quantize")
    assert second[second.index("--input_dlc") + 1] == first[first.index("--output_path") + 1]
    assert second[-2:] == ["--act_bitwidth", "16"]
    lines = Path(second[second.index("--input_list") + 1]).read_text().splitlines()
    raw = [np.fromfile(line.removeprefix("x:="), np.float32) for line in lines]
    assert [array.mean() for array in raw] == [0, 1]


def test_a_stand_in_without_the_flag_is_an_error_that_names_it(
    sdk_of: Callable[..., Path], request_of: Callable[[str], ConvertRequest], tmp_path: Path
) -> None:
    sdk_of("qairt-converter", script="#!/bin/sh\necho nothing\n")
    with pytest.raises(ToolMissing, match="knows none of --float_bitwidth"):
        converted(request_of("fp16"), tmp_path)


def test_a_stand_in_that_writes_nothing_did_not_convert(
    sdk_of: Callable[..., Path], request_of: Callable[[str], ConvertRequest], tmp_path: Path
) -> None:
    sdk_of("qairt-converter", script="#!/bin/sh\necho done\n")
    with pytest.raises(ConverterFailed, match=r"wrote no \.dlc: done"):
        converted(request_of("fp32"), tmp_path)


def test_a_folder_that_is_no_sdk_is_told_by_its_variable(
    sdk_of: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNPE_ROOT", str(tmp_path))
    with pytest.raises(ToolMissing, match=r"SNPE_ROOT: .* has no bin/x86_64-linux-clang/qairt-converter"):
        snpe_sdk.find()


def test_doctor_tells_a_variable_that_names_no_sdk(
    sdk_of: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNPE_ROOT", str(tmp_path))
    monkeypatch.setattr(snpe, "_unfit_host", lambda: "")
    status = snpe.SnpeConverter(tmp_path).doctor()
    assert not status.ready and not status.on_demand
    assert "SNPE_ROOT" in status.missing


def test_the_emulator_on_a_device_is_of_the_version_that_verified() -> None:
    assert RUNTIME_PINS["snpe"] == load_locks()[snpe.LOCK].version
