"""TensorFlow Lite with the real tools: what converts, what is refused, and what a damaged file does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeflow_converters.arrays import load_sets, save_sets
from edgeflow_converters.base import Artifact, ConvertRequest, Product
from edgeflow_converters.cache import Cache
from edgeflow_converters.check import compare, tolerance_for
from edgeflow_converters.errors import (
    CalibrationMissing,
    ConvertError,
    NumericsDisagree,
)
from edgeflow_converters.pipeline import convert
from edgeflow_converters.reference import reference_outputs
from edgeflow_converters.targets import get_target
from edgeflow_converters.targets.tflite import TfliteConverter

MODEL = "ppocr-cls"
CUBE = (1, 4, 4, 4)


def quietly(phase: str) -> None:
    """A progress function for tests that do not look at it."""


def cube_request(folder: Path, **changes: object) -> ConvertRequest:
    """A convolution whose input and output have the same shape channels first and last: only values tell."""
    random = np.random.default_rng(0)
    weights = random.normal(size=(4, 4, 3, 3)).astype("f4")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
        "cube",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, CUBE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, CUBE)],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "cube.onnx")
    samples = [{"x": random.normal(size=CUBE).astype("f4")} for _ in range(4)]
    request = ConvertRequest(folder / "cube.onnx", "tflite", "fp32", {"x": CUBE}, samples)
    return replace(request, **changes)  # type: ignore[arg-type]


@pytest.mark.network
@pytest.mark.timeout(900)  # the first use installs 670 MB
def test_a_layout_that_shapes_leave_open_is_decided_by_the_values(tmp_path: Path, tools_root: Path) -> None:
    request = cube_request(tmp_path)
    before = request.source.read_bytes()
    artifact = convert(request, tmp_path / "cache", quietly, tools_root=tools_root)
    assert artifact.verdict.passed and artifact.runtime_options == {"xnnpack": True}
    assert [spec.perm for spec in (*artifact.inputs, *artifact.outputs)] == [(0, 2, 3, 1)] * 2
    assert request.source.read_bytes() == before
    assert artifact.tools["onnx2tf"].startswith("2.6.9 (lock ")


@pytest.mark.network
@pytest.mark.timeout(900)
def test_int8_measures_ranges_on_real_inputs_and_tells_what_stays_fp32(
    tmp_path: Path, tools_root: Path
) -> None:
    request = cube_request(tmp_path, precision="int8")
    with pytest.raises(CalibrationMissing) as caught:
        convert(request, tmp_path / "cache", quietly, tools_root=tools_root)
    assert "calibration: {data: FOLDER}" in caught.value.hint and "int8-dynamic" in caught.value.hint
    calibrated = replace(request, calibration=request.samples)
    artifact = convert(calibrated, tmp_path / "cache", quietly, tools_root=tools_root)
    assert (artifact.weights_dtype, artifact.compute_dtype) == ("int8", "int8")
    assert "ranges measured on 4 real input sets" in artifact.notes
    assert 1e-4 < artifact.verdict.rel_err_max < 0.1  # 8 bits, not fp32 under another name
    other = replace(request, calibration=request.samples[:2])
    assert convert(other, tmp_path / "cache", quietly, tools_root=tools_root).key != artifact.key


@pytest.mark.network
@pytest.mark.timeout(900)
def test_activations_that_8_bits_do_not_hold_are_computed_in_fp32_and_that_is_told(
    tmp_path: Path, tools_root: Path
) -> None:
    """One feature is a thousand times the others and counts for nothing: its scale leaves them no bits."""
    random = np.random.default_rng(3)
    weights = random.normal(size=(64, 32)).astype("f4")
    weights[0] = 0
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"])],
        "outlier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 32])],
        [numpy_helper.from_array(value, name) for name, value in (("w", weights), ("b", weights[1, :32]))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, tmp_path / "outlier.onnx")
    samples = [{"x": random.normal(size=(1, 64)).astype("f4")} for _ in range(6)]
    for sample in samples:
        sample["x"][0, 0] = 1000.0
    request = ConvertRequest(tmp_path / "outlier.onnx", "tflite", "int8-dynamic", {"x": (1, 64)}, samples)
    artifact = convert(request, tmp_path / "cache", quietly, tools_root=tools_root)
    assert artifact.verdict.passed
    assert (artifact.weights_dtype, artifact.compute_dtype) == ("int8", "fp32")
    assert any("quantized by weights alone, computed in fp32" in note for note in artifact.notes)
    assert "1 of 1 operators have 8-bit weights" in artifact.notes


def heard(folder: Path) -> ConvertRequest:
    """An LSTM without a state of its own, and one sample."""
    random = np.random.default_rng(4)
    weights = {"w": (1, 32, 6), "r": (1, 32, 8), "b": (1, 64)}
    graph = helper.make_graph(
        [helper.make_node("LSTM", ["x", *weights], ["y"], hidden_size=8)],
        "heard",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [7, 1, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [7, 1, 1, 8])],
        [numpy_helper.from_array(random.normal(size=shape).astype("f4"), n) for n, shape in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "heard.onnx")
    samples = [{"x": random.normal(size=(7, 1, 6)).astype("f4")}]
    return ConvertRequest(folder / "heard.onnx", "tflite", "fp32", {"x": (7, 1, 6)}, samples)


@pytest.mark.network
@pytest.mark.timeout(900)
def test_a_layer_that_remembers_the_run_before_is_caught_and_begins_anew(
    tmp_path: Path, tools_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = heard(tmp_path)
    artifact = convert(request, tmp_path / "cache", quietly, tools_root=tools_root)
    assert artifact.verdict.passed
    wanted = tuple(name for name in TfliteConverter.rewrites if name != "state_of_every_run")
    monkeypatch.setattr(TfliteConverter, "rewrites", wanted)
    with pytest.raises(NumericsDisagree, match="run again on the same input"):
        convert(request, tmp_path / "cache", quietly, tools_root=tools_root)


@pytest.mark.network
@pytest.mark.timeout(900)
def test_what_onnx2tf_was_told_to_keep_has_the_axes_of_the_model(tmp_path: Path, tools_root: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Det", ["x"], ["y"])],
        "det",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, tmp_path / "det.onnx")
    samples = [{"x": np.random.default_rng(0).normal(size=(2, 3, 3)).astype("f4")}]
    request = ConvertRequest(tmp_path / "det.onnx", "tflite", "fp32", {"x": (2, 3, 3)}, samples)
    artifact = convert(request, tmp_path / "cache", quietly, tools_root=tools_root)
    # A determinant is that of the transpose: the values would not tell.
    assert [spec.perm for spec in artifact.inputs] == [None]


# --- damaged products (more: test_seeded_damage.py) --------------------------------------------------


@pytest.fixture(scope="module")
def artifact(artifact_of: Callable[[str, str, str], Artifact]) -> Artifact:
    return artifact_of(MODEL, "tflite", "fp32")


def why_rejected(artifact: Artifact, request: ConvertRequest, data: bytes, work: Path, roots: Any) -> str:
    """What runner and gate say of a .tflite with this content; "" if they accept it."""
    cache_root, tools_root = roots
    (work / artifact.files["model"]).write_bytes(data)
    product = Product(
        artifact.files, artifact.inputs, artifact.outputs, artifact.runtime_options, "fp32", "fp32", {}
    )
    reference = reference_outputs(
        request.source, artifact.source_sha256, request.samples, Cache(cache_root), timeout_s=120
    )
    save_sets(work / "samples.npz", request.samples)
    try:
        get_target("tflite", tools_root).run(
            product, work, work / "samples.npz", work / "outputs.npz", work, 60
        )
    except ConvertError as error:
        return error.message
    verdict = compare(reference, load_sets(work / "outputs.npz"), tolerance_for("fp32"))
    return "; ".join(verdict.reasons)


def weights_at(data: bytes) -> list[int]:
    """Where runs of plausible float32 weights begin: 64 in a row, none zero, all small."""
    values = np.frombuffer(data[: len(data) // 4 * 4], "<f4")
    with np.errstate(invalid="ignore"):
        fine = (np.abs(values) > 1e-4) & (np.abs(values) < 4)
    starts = [i for i in range(0, len(values) - 64, 64) if fine[i : i + 64].all()]
    return [4 * index for index in starts]


BREAK: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "weights zeroed": lambda data: _zeroed(data),
}


def _zeroed(data: bytes) -> bytes:
    changed = bytearray(data)
    for offset in weights_at(data):
        changed[offset : offset + 256] = bytes(256)
    return bytes(changed)


@pytest.mark.network
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", BREAK)
def test_a_damaged_product_is_caught(
    kind: str,
    artifact: Artifact,
    request_for: Callable[..., ConvertRequest],
    tmp_path: Path,
    cache_root: Path,
    tools_root: Path,
) -> None:
    request = request_for(MODEL, "tflite", "fp32")
    data = (artifact.path / artifact.files["model"]).read_bytes()
    assert weights_at(data)
    roots = (cache_root, tools_root)
    assert why_rejected(artifact, request, data, tmp_path, roots) == ""
    assert why_rejected(artifact, request, BREAK[kind](data), tmp_path, roots) != ""
