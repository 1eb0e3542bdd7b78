"""convert(): what an artifact holds, when the cache answers, and that the zoo's models convert."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeflow_converters.artifact import read_artifact
from edgeflow_converters.base import Artifact, ConvertRequest
from edgeflow_converters.errors import ConverterFailed, NumericsDisagree
from edgeflow_converters.pipeline import convert
from edgeflow_converters.targets.ncnn_param import parse_param
from edgeflow_converters.targets.ncnn_weights import FEATURE_MASK


def tiny_request(folder: Path, **changes: object) -> ConvertRequest:
    """A convolution with its weight listed as the first input, as old exporters do, at opset 11."""
    random = np.random.default_rng(0)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["h"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("Flatten", ["r"], ["f"]),
            helper.make_node("Softmax", ["f"], ["y"], axis=1),
        ],
        "old",
        [
            helper.make_tensor_value_info("w", TensorProto.FLOAT, [3, 2, 3, 3]),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2, "height", "width"]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "n"])],
        [numpy_helper.from_array(random.normal(size=(3, 2, 3, 3)).astype("f4"), "w")],
    )
    opsets = [helper.make_opsetid("", 11), helper.make_opsetid("Paddle", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=6), folder / "old.onnx")
    samples = [{"x": random.normal(size=(1, 2, 5, 7)).astype("f4")} for _ in range(2)]
    request = ConvertRequest(folder / "old.onnx", "ncnn", "fp32", {"x": (1, 2, 5, 7)}, samples)
    return replace(request, **changes)  # type: ignore[arg-type]


@pytest.mark.network
def test_an_artifact_tells_the_whole_tuple(tmp_path: Path, tools_root: Path) -> None:
    phases: list[str] = []
    artifact = convert(tiny_request(tmp_path), tmp_path / "cache", phases.append, tools_root=tools_root)
    assert not artifact.cached and artifact.verdict.passed
    assert phases == ["inspect", "reference", "prepare", "convert", "pnnx", "verify", "commit"]
    assert "opset upgrade 11 -> 13" in artifact.notes
    (spec,) = artifact.inputs
    assert (spec.name, spec.shape, spec.runtime_name, spec.runtime_shape) == (
        "x",
        (1, 2, 5, 7),
        "in0",
        (2, 5, 7),
    )
    assert artifact.outputs[0].shape == (1, 105)
    written = json.loads((artifact.path / "artifact.json").read_text())
    assert written["schema"] == "edgeflow.artifact/1"
    assert set(written["tools"]) == {"pnnx", "ncnn", "onnx", "onnxsim", "onnxruntime"}
    assert written["precision"] == {"name": "fp32", "weights": "fp32", "compute": "fp32"}
    assert written["runtime_options"]["use_fp16_arithmetic"] is False
    assert sorted(path.name for path in artifact.path.iterdir()) == [
        "artifact.json", "entry.json", "model.bin", "model.param",
    ]  # fmt: skip
    assert read_artifact(artifact.path, cached=False) == artifact


def test_the_cache_answers_the_same_request_and_no_other(tmp_path: Path) -> None:
    request = tiny_request(tmp_path, runtime="onnxruntime")
    cache = tmp_path / "cache"

    def again(changed: ConvertRequest) -> Artifact:
        return convert(changed, cache, lambda phase: None)

    first = again(request)
    assert again(request) == replace(first, cached=True)
    other_samples = [{"x": sample["x"] + 1} for sample in request.samples]
    for changed in (
        replace(request, precision="fp16"),
        replace(request, samples=other_samples),
    ):
        assert not again(changed).cached
    (first.path / "model.onnx").write_bytes(b"damaged")
    healed = again(request)
    assert not healed.cached and healed.sha256 == first.sha256


def test_two_processes_at_once_agree(tmp_path: Path) -> None:
    tiny_request(tmp_path)
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from test_pipeline import tiny_request\n"
        "from edgeflow_converters.pipeline import convert\n"
        "folder = Path(sys.argv[1])\n"
        "print(convert(tiny_request(folder, runtime='onnxruntime', source=folder / 'old.onnx'),\n"
        "              folder / 'cache', lambda phase: None).path)\n"
    )
    argv = [sys.executable, "-c", code, str(tmp_path), str(Path(__file__).parent)]
    processes = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert answers[0] == answers[1] and answers[0].strip()
    assert not list((tmp_path / "cache" / "tmp").iterdir())


def test_a_file_that_is_no_artifact(tmp_path: Path) -> None:
    (tmp_path / "artifact.json").write_text('{"schema": "something/1"}')
    with pytest.raises(ConverterFailed, match="not an artifact description"):
        read_artifact(tmp_path, cached=True)


def beyond_half() -> onnx.ModelProto:
    """Four convolutions, of which the second gives values near 1e5 and the third takes them back."""
    random = np.random.default_rng(2)
    node, names = helper.make_node, ("x", "a", "huge", "b", "y")
    sizes = {"first": 0.3, "large": 1e4, "small": 1e-2, "last": 0.05}
    nodes = [
        node("Conv", [source, weights], [result], name=f"conv {weights}", pads=[1] * 4)
        for source, result, weights in zip(names, names[1:], sizes, strict=False)
    ]
    graph = helper.make_graph(
        nodes,
        "range",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 8, 8])],
        [
            numpy_helper.from_array((random.normal(size=(4, 4, 3, 3)) * size).astype("f4"), name)
            for name, size in sizes.items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def beyond_half_request(folder: Path, runtime: str) -> ConvertRequest:
    onnx.save(beyond_half(), folder / "range.onnx")
    random = np.random.default_rng(3)
    samples = [{"x": random.normal(size=(1, 4, 8, 8)).astype("f4")} for _ in range(3)]
    return ConvertRequest(folder / "range.onnx", runtime, "fp16", {}, samples)


@pytest.mark.network
def test_layers_beyond_half_range_are_islands_of_fp32_in_ncnn(tmp_path: Path, tools_root: Path) -> None:
    request = beyond_half_request(tmp_path, "ncnn")
    artifact = convert(request, tmp_path / "cache", lambda phase: None, tools_root=tools_root)
    assert artifact.runtime_options["use_fp16_storage"] is True
    layers = [layer for layer in parse_param(artifact.path / "model.param") if layer.kind == "Convolution"]
    assert [layer.params.get(FEATURE_MASK) for layer in layers] == [None, "3", "3", None]
    (note,) = [note for note in artifact.notes if "fp16 ends at 65504" in note]
    assert note.startswith("2 of 5 layers stay fp32") and "Conv node 'conv large' reaches" in note


@pytest.mark.network
def test_a_model_beyond_half_range_is_computed_in_fp32_by_mnn(tmp_path: Path, tools_root: Path) -> None:
    request = beyond_half_request(tmp_path, "mnn")
    artifact = convert(request, tmp_path / "cache", lambda phase: None, tools_root=tools_root)
    assert (artifact.weights_dtype, artifact.compute_dtype) == ("fp16", "fp32")
    assert artifact.runtime_options["precision"] == "high"
    (note,) = [note for note in artifact.notes if "fp16 ends at 65504" in note]
    assert note.startswith("all of it is computed in fp32: Conv node 'conv large' reaches")


@pytest.mark.network
def test_a_text_detector_with_tiny_weights_keeps_its_sight_in_fp16(
    artifact_of: Callable[[str, str, str], Artifact],
) -> None:
    """Its first convolution holds weights of 1e-5, which a plain fp16 file turns into zeros."""
    artifact = artifact_of("ppocr-det", "ncnn", "fp16")
    assert any("stay fp32" in note and "conv" in note for note in artifact.notes)
    assert artifact.size_bytes < 0.6 * artifact_of("ppocr-det", "onnxruntime", "fp32").size_bytes


@pytest.mark.network
def test_a_model_that_fp16_cannot_hold_is_declined_with_the_cause(
    artifact_of: Callable[[str, str, str], Artifact],
) -> None:
    with pytest.raises(NumericsDisagree) as caught:
        artifact_of("mlsd-tiny", "ncnn", "fp16")
    assert "the model itself is too sensitive for fp16" in caught.value.hint


@pytest.mark.network
@pytest.mark.parametrize("name", ["ppocr-rec", "silero-vad", "mlsd-tiny", "mtcnn-onet"])
def test_models_that_plain_conversion_breaks_agree(
    name: str, artifact_of: Callable[[str, str, str], Artifact]
) -> None:
    artifact = artifact_of(name, "ncnn", "fp32")
    assert artifact.verdict.passed
    assert any(note.startswith("rewrite ") for note in artifact.notes)
