"""ncnn's int8 files, run by ncnn itself: what it computes is what the integers say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow_converters import precision
from edgeflow_converters.divergence import clipping_point, histogram
from edgeflow_converters.runners.ncnn import apply_options
from edgeflow_converters.targets.ncnn_int8 import TAG_INT8, quantizable, quantize_weights, write_int8
from edgeflow_converters.targets.ncnn_param import Layer, parse_param, write_param

Floats = Any
RANDOM = 20261125


def model(
    kind: str, shape: tuple[int, ...], seed: int = RANDOM, **params: str
) -> tuple[list[Layer], bytes, Any]:
    """One layer of `kind` with weights of `shape` (outputs first) and a bias; names are p0, p1, ..."""
    random = np.random.default_rng(seed)
    weights, bias = random.normal(size=shape).astype("<f4"), random.normal(size=shape[0]).astype("<f4")
    own = {name.removeprefix("p"): value for name, value in params.items()}
    layers = [
        Layer("Input", "in0", (), ("in0",), {}),
        Layer(kind, "layer", ("in0",), ("out0",), {"0": str(shape[0]), **own}),
    ]
    return layers, bytes(4) + weights.tobytes() + bias.tobytes(), (weights, bias)


def convolution(outputs: int, inputs: int, size: int, **more: str) -> tuple[list[Layer], bytes, Any]:
    count = outputs * inputs * size * size
    return model("Convolution", (outputs, inputs, size, size), p1=str(size), p5="1", p6=str(count), **more)


def run(layers: list[Layer], data: bytes, values: Floats, folder: Path) -> Floats:
    import ncnn

    write_param(layers, folder / "m.param")
    (folder / "m.bin").write_bytes(data)
    with ncnn.Net() as net:
        apply_options(net.opt, dict(precision.lookup("ncnn", "int8").runtime_flags))
        assert net.load_param(str(folder / "m.param")) == 0
        assert net.load_model(str(folder / "m.bin")) == 0
        with net.create_extractor() as extractor:
            mat = ncnn.Mat(values).clone()
            extractor.input("in0", mat)
            code, out = extractor.extract("out0")
            assert code == 0
            return np.array(out)


def integers(values: Floats, reach: float) -> Floats:
    return np.rint(values * np.float32(127.0 / reach)).clip(-127, 127).astype(np.int64)


def convolved(values: Floats, weights: Floats) -> Floats:
    """A plain convolution of stride 1 without padding."""
    outputs, _, height, width = weights.shape
    rows, columns = values.shape[1] - height + 1, values.shape[2] - width + 1
    found = np.zeros((outputs, rows, columns), values.dtype)
    for y in range(height):
        for x in range(width):
            found += np.einsum("oi,iyx->oyx", weights[:, :, y, x], values[:, y : y + rows, x : x + columns])
    return found


@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_convolution_is_computed_in_integers(size: int, tmp_path: Path) -> None:
    """3x3 too: by Winograd's method its weights would not fit, and no number would be right."""
    layers, data, (weights, bias) = convolution(24, 40, size)
    values = np.random.default_rng(1).uniform(-3, 3, (40, 12, 12)).astype("f4")
    made = write_int8(layers, data, {"layer": 3.0})
    small, scales = quantize_weights(weights, 24)
    exact = convolved(integers(values, 3.0), small.reshape(weights.shape).astype(np.int64))
    wanted = exact / (scales[:, None, None] * (127.0 / 3.0)) + bias[:, None, None]
    assert np.allclose(run(made.layers, made.data, values, tmp_path), wanted, rtol=1e-5, atol=1e-4)
    assert made.share == 1.0
    assert ("31" in made.layers[1].params) is (size == 3)


def test_a_depthwise_layer_has_a_scale_for_each_channel(tmp_path: Path) -> None:
    layers, data, (weights, bias) = model(
        "ConvolutionDepthWise", (16, 1, 3, 3), p1="3", p5="1", p6="144", p7="16"
    )
    values = np.random.default_rng(2).uniform(0, 6, (16, 9, 9)).astype("f4")
    made = write_int8(layers, data, {"layer": 6.0})
    small, scales = quantize_weights(weights, 16)
    grid, kernels = integers(values, 6.0), small.reshape(16, 1, 3, 3).astype(np.int64)
    exact = np.concatenate([convolved(grid[i : i + 1], kernels[i : i + 1]) for i in range(16)])
    wanted = exact / (scales[:, None, None] * (127.0 / 6.0))
    got = run(made.layers, made.data, values, tmp_path) - bias[:, None, None]
    # ncnn 1.0.20261020 takes the scales' reciprocals to 12 bits here on x86; the integers are exact.
    assert np.allclose(got, wanted, rtol=4e-4, atol=1e-4)


def test_a_product_is_computed_in_integers(tmp_path: Path) -> None:
    layers, data, (weights, bias) = model("InnerProduct", (10, 30), p1="1", p2="300")
    values = np.random.default_rng(3).normal(size=30).astype("f4")
    made = write_int8(layers, data, {"layer": 2.5})
    small, scales = quantize_weights(weights, 10)
    wanted = small.astype(np.int64) @ integers(values, 2.5) / (scales * (127.0 / 2.5)) + bias
    assert np.allclose(run(made.layers, made.data, values, tmp_path), wanted, rtol=1e-5, atol=1e-4)


def test_int8_weights_are_padded_to_four_bytes_and_followed_by_bias_and_scales() -> None:
    layers, data, (weights, bias) = model("InnerProduct", (2, 3), p1="1", p2="6")
    made = write_int8(layers, data, {"layer": 2.0}).data
    small, scales = quantize_weights(weights, 2)
    assert made == (
        TAG_INT8.to_bytes(4, "little") + small.tobytes() + bytes(2) + bias.tobytes() + scales.tobytes()
        + np.array([63.5], "<f4").tobytes()
    )  # fmt: skip


def test_a_channel_of_zeros_stays_zero(tmp_path: Path) -> None:
    layers, data, (_, bias) = convolution(4, 8, 1)
    dead = bytearray(data)
    dead[4 : 4 + 4 * 8] = bytes(4 * 8)
    made = write_int8(layers, bytes(dead), {"layer": 1.0})
    out = run(made.layers, made.data, np.ones((8, 3, 3), "f4"), tmp_path)
    assert np.allclose(out[0], bias[0]) and np.isfinite(out).all()


@pytest.mark.parametrize("ranges", [{}, {"layer": 0.0}])
def test_a_layer_without_a_range_stays_as_it_is(ranges: dict[str, float]) -> None:
    layers, data, _ = convolution(4, 8, 1)
    made = write_int8(layers, data, ranges)
    assert (made.layers, made.data, made.share) == (layers, data, 0.0)


def test_a_named_layer_stays_fp32_and_the_others_do_not(tmp_path: Path) -> None:
    layers, data, _ = convolution(4, 8, 1)
    assert write_int8(layers, data, {"layer": 1.0}, {"layer"}).data == data
    assert len(write_int8(layers, data, {"layer": 1.0}, {"other"}).data) < len(data)


@pytest.mark.parametrize("odd", [{"p19": "1"}, {"p18": "0.5"}, {"p8": "2"}])
def test_what_int8_would_read_wrong_is_not_touched(odd: dict[str, str]) -> None:
    """Weights that come as an input, padding by a value, and what is int8 already."""
    layers, _, _ = convolution(4, 8, 1, **odd)
    assert quantizable(layers) == []


def test_a_written_file_survives_ncnns_own_parser(tmp_path: Path) -> None:
    layers, data, _ = convolution(4, 8, 3)
    made = write_int8(layers, data, {"layer": 1.0})
    write_param(made.layers, tmp_path / "m.param")
    assert parse_param(tmp_path / "m.param") == made.layers


def test_divergence_clips_a_far_outlier_and_nothing_else() -> None:
    random = np.random.default_rng(4)
    usual = np.abs(random.normal(size=20000))
    top = float(usual.max())
    assert clipping_point(histogram(usual, top), top) > 0.6 * top
    far = np.append(usual, 40.0)
    clipped = clipping_point(histogram(far, 40.0), 40.0)
    assert 2.0 < clipped < 8.0


def test_zeros_do_not_decide_where_to_clip() -> None:
    usual = np.random.default_rng(5).uniform(0, 1, 5000)
    top = float(usual.max())
    alone = clipping_point(histogram(usual, top), top)
    assert clipping_point(histogram(np.append(usual, np.zeros(10**6)), top), top) == alone > 0.9 * top
    assert clipping_point(histogram(np.zeros(9), 1.0), 1.0) == 1.0
