"""ncnn's .param and .bin: parsing, writing, and storing weights as float16."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeflow_converters.errors import ConverterFailed, UnsupportedModel
from edgeflow_converters.half_weights import fits_half
from edgeflow_converters.targets.ncnn_param import (
    batch_indexes,
    onnx_op_of,
    parse_param,
    pnnx_shapes,
    write_param,
)
from edgeflow_converters.targets.ncnn_weights import TAG_FP16, store_as_half, walk

PARAM = """7767517
5 5
Input                    in0                      0 1 in0
Convolution              conv_0                   1 1 in0 1 0=2 1=3 11=3 4=1 5=1 6=36
PReLU                    prelu_0                  1 1 1 2 0=2
InnerProduct             linear_0                 1 1 2 3 0=3 1=1 2=5
Softmax                  softmax_0                1 1 3 out0 0=0 1=1
"""


def write_files(folder: Path, conv_scale: float = 1.0) -> tuple[Path, bytes]:
    random = np.random.default_rng(1)

    def raw(count: int) -> bytes:
        return random.normal(size=count).astype("<f4").tobytes()

    conv = (random.normal(size=36) * conv_scale).astype("<f4").tobytes()
    data = bytes(4) + conv + raw(2) + raw(2) + bytes(4) + raw(5) + raw(3)
    (folder / "m.param").write_text(PARAM)
    return folder / "m.param", data


def test_a_param_file_survives_being_written(tmp_path: Path) -> None:
    path, _ = write_files(tmp_path)
    layers = parse_param(path)
    assert [layer.kind for layer in layers] == ["Input", "Convolution", "PReLU", "InnerProduct", "Softmax"]
    assert layers[1].params["6"] == "36" and layers[1].inputs == ("in0",) and layers[1].outputs == ("1",)
    write_param(layers, tmp_path / "again.param")
    assert parse_param(tmp_path / "again.param") == layers


@pytest.mark.parametrize(
    "text",
    ["", "hello", "7767517", "7767517\n5 5\n", PARAM[:-60], PARAM.replace("1 1 1 2 0=2", "1 9 1 2 0=2")],
)
def test_half_a_param_file_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "m.param").write_text(text)
    with pytest.raises(ConverterFailed, match=r"m\.param is not a complete ncnn graph"):
        parse_param(tmp_path / "m.param")


def test_every_byte_of_the_weights_is_accounted_for(tmp_path: Path) -> None:
    path, data = write_files(tmp_path)
    layers = parse_param(path)
    assert [(block.layer, block.tagged, block.count) for block in walk(layers, data)] == [
        (1, True, 36),
        (1, False, 2),
        (2, False, 2),
        (3, True, 5),
        (3, False, 3),
    ]
    with pytest.raises(UnsupportedModel, match="accounts for"):
        walk(layers, data + bytes(4))
    with pytest.raises(UnsupportedModel, match="not where InnerProduct"):
        walk(
            [replace(layer, kind="Mystery") if layer.kind == "Convolution" else layer for layer in layers],
            data,
        )


def test_weights_become_half_and_biases_stay(tmp_path: Path) -> None:
    path, data = write_files(tmp_path)
    half = store_as_half(parse_param(path), data)
    assert half.islands == ()
    assert int.from_bytes(half.data[:4], "little") == TAG_FP16
    stored = np.frombuffer(half.data, "<f2", 36, 4).astype("f4")
    exact = np.frombuffer(data, "<f4", 36, 4)
    assert np.array_equal(stored, exact.astype("f2").astype("f4"))
    assert half.data[4 + 72 : 4 + 72 + 16] == data[4 + 144 : 4 + 144 + 16]
    # five halves are ten bytes, padded to twelve
    assert len(half.data) == (4 + 72) + 8 + 8 + (4 + 12) + 12


@pytest.mark.parametrize("conv_scale", [1e-6, 1e6])
def test_a_layer_that_half_would_change_stays_fp32_in_file_and_runtime(
    conv_scale: float, tmp_path: Path
) -> None:
    path, data = write_files(tmp_path, conv_scale)
    half = store_as_half(parse_param(path), data)
    assert half.islands == ("conv_0",)
    assert half.data[: 4 + 144] == data[: 4 + 144]
    assert half.layers[1].params["31"] == "3"
    assert "31" not in half.layers[3].params


@pytest.mark.parametrize(
    ("values", "fits"),
    [
        ([1.0, -2.0, 0.5], True),
        ([0.0, 0.0], True),
        ([1.0, 1e-7], True),  # one lost weight beside a large one does not matter
        ([1e-5, 2e-5], False),
        ([70000.0, 1.0], False),
    ],
)
def test_what_fits_half(values: list[float], fits: bool) -> None:
    assert fits_half(np.array(values, "f4")) is fits


def test_batch_axes_are_read_from_pnnx_script(tmp_path: Path) -> None:
    script = tmp_path / "model_ncnn.py"
    script.write_text(
        'ex.input("in0", ncnn.Mat(in0.numpy(), batch_index=0).clone())\n'
        'ex.input("in1", ncnn.Mat(in1.numpy(), batch_index=233).clone())\n'
        'ex.input("in2", ncnn.Mat(in2.numpy()).clone())\n'
    )
    assert batch_indexes(script) == {"in0": 0}
    script.write_text("print('hello')\n")
    with pytest.raises(ConverterFailed):
        batch_indexes(script)


def test_a_pnnx_layer_is_told_in_onnx_terms(tmp_path: Path) -> None:
    graph = tmp_path / "model.pnnx.param"
    graph.write_text(
        "7767517\n1 2\nTensor.reshape Tensor.reshape_60 1 1 135 136 shape=(1,40,3) $input=135 "
        "#135=(40,3)f32 #136=(1,40,3)f32\n"
    )
    assert pnnx_shapes(graph) == {"Tensor.reshape_60": "[40,3] -> [1,40,3]"}
    assert onnx_op_of("torch.eq") == "Equal"
    assert onnx_op_of("aten::det") == "det"


def test_what_pnnx_did_not_write_is_its_failure_not_ours(tmp_path: Path) -> None:
    assert pnnx_shapes(tmp_path / "model.pnnx.param") == {}
    with pytest.raises(ConverterFailed, match=r"pnnx said success and wrote no model_ncnn\.py"):
        batch_indexes(tmp_path / "model_ncnn.py")
