"""MNN, OpenVINO and 8 bits: real products agree, broken ones and lying tools are caught."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgeflow import zoo
from edgeflow.config.recipe import load_recipe
from edgeflow.inputs.samples import real_samples, samples_for
from edgeflow_converters import errors, packages
from edgeflow_converters.arrays import load_sets, save_sets
from edgeflow_converters.base import Artifact, ConvertRequest, Product
from edgeflow_converters.cache import Cache
from edgeflow_converters.check import compare, tolerance_for
from edgeflow_converters.errors import ConvertError
from edgeflow_converters.pipeline import convert
from edgeflow_converters.reference import reference_outputs
from edgeflow_converters.targets import get_target

pytestmark = pytest.mark.network

ArtifactOf = Callable[[str, str, str], Artifact]


@pytest.fixture(scope="module")
def quantized(warm_home: Path, cache_root: Path, tools_root: Path) -> ArtifactOf:
    """(model, runtime, precision) -> the artifact that a deploy would make, calibration and all."""

    def make(name: str, runtime: str, precision: str) -> Artifact:
        return convert(
            request_of(name, runtime, precision, warm_home),
            cache_root,
            lambda phase: None,
            tools_root=tools_root,
        )

    return make


def request_of(name: str, runtime: str, precision: str, home: Path) -> ConvertRequest:
    model = zoo.pull(name, home)
    recipe = load_recipe(model.recipe_path)
    return ConvertRequest(
        source=model.model_path,
        runtime=runtime,
        precision=precision,
        input_shapes={name: tuple(spec.shape) for name, spec in recipe.inputs.items()},
        samples=[sample.tensors for sample in samples_for(recipe, precision)],
        calibration=[sample.tensors for sample in real_samples(recipe)],
    )


@pytest.mark.parametrize(
    ("name", "runtime", "precision"),
    [
        ("mtcnn-onet", "mnn", "fp32"),
        ("mtcnn-onet", "ncnn", "int8"),
        ("pplcnet-orientation", "mnn", "fp16"),
        ("mtcnn-onet", "mnn", "int8-dynamic"),
        ("silero-vad", "openvino", "fp32"),
        ("mtcnn-onet", "openvino", "fp16"),
        ("pplcnet-orientation", "openvino", "int8"),
        ("mtcnn-onet", "openvino", "int8-dynamic"),
        ("pplcnet-orientation", "onnxruntime", "int8"),
        ("ppocr-cls", "onnxruntime", "int8-dynamic"),
    ],
)
def test_a_real_model_agrees(quantized: ArtifactOf, name: str, runtime: str, precision: str) -> None:
    artifact = quantized(name, runtime, precision)
    assert artifact.verdict.passed
    if precision != "fp32":
        # OpenVINO's text beside the weights is what is left of a model of 1.5 MB in 8 bits.
        assert artifact.size_bytes < 0.6 * artifact_source_bytes(artifact, quantized, name)


def artifact_source_bytes(artifact: Artifact, quantized: ArtifactOf, name: str) -> int:
    return quantized(name, artifact.runtime, "fp32").size_bytes


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("runtime", "precision", "share"), [("mnn", "int8-dynamic", 0.02), ("ncnn", "int8", 0.12)]
)
def test_damage_in_the_weights_is_caught(
    quantized: ArtifactOf,
    warm_home: Path,
    tools_root: Path,
    tmp_path: Path,
    runtime: str,
    precision: str,
    share: float,
    seed: int,
) -> None:
    """A run of an 8-bit file becomes random bytes or zeros. The tolerance of static int8 is wide: zeros
    in 2 % of ncnn's file stay within it. Of fp32: test_seeded_damage.py."""
    artifact = quantized("mtcnn-onet", runtime, precision)
    folder = tmp_path / "broken"
    shutil.copytree(artifact.path, folder)
    weights = folder / artifact.files["bin" if runtime == "ncnn" else "model"]
    data, random = bytearray(weights.read_bytes()), np.random.default_rng(seed)
    length = int(len(data) * share)
    start = int(random.integers(len(data) // 4, len(data) * 3 // 4)) & ~3
    data[start : start + length] = bytes(length) if seed % 2 else random.bytes(length)
    weights.write_bytes(bytes(data))
    assert complaint(
        artifact, folder, request_of("mtcnn-onet", runtime, precision, warm_home), tools_root, tmp_path
    )


def complaint(artifact: Artifact, folder: Path, request: ConvertRequest, tools_root: Path, work: Path) -> str:
    product = Product(
        artifact.files, artifact.inputs, artifact.outputs, artifact.runtime_options, "", "", artifact.tools
    )
    save_sets(work / "samples.npz", request.samples)
    target = get_target(artifact.runtime, tools_root)
    try:
        target.run(product, folder, work / "samples.npz", work / "wrong.npz", work, 120)
    except ConvertError as error:
        return error.message
    tolerance = tolerance_for(artifact.precision)
    reference = reference_outputs(
        request.source, artifact.source_sha256, request.samples, Cache(work / "cache"), timeout_s=120
    )
    return "; ".join(compare(reference, load_sets(work / "wrong.npz"), tolerance).reasons)


def odd_request(folder: Path, op: str, runtime: str, **attributes: object) -> ConvertRequest:
    graph = helper.make_graph(
        [helper.make_node(op, ["x", "z"], ["y"], name="odd", **attributes)],
        "odd",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, 4, 4]) for name in "xz"],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 4, 4])],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "m.onnx"
    )
    random = np.random.default_rng(1)
    sets = [{name: random.normal(size=(1, 2, 4, 4)).astype("f4") for name in "xz"} for _ in range(2)]
    return ConvertRequest(folder / "m.onnx", runtime, "fp32", {}, sets, timeout_s=20)


def test_what_mnn_computes_wrong_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedModel, match=r"mnn computes Mod with fmod = 1 wrong \('odd'\)"):
        convert(odd_request(tmp_path, "Mod", "mnn", fmod=1), tmp_path / "cache", lambda phase: None)


def test_int8_without_calibration_inputs_is_refused(tmp_path: Path) -> None:
    for runtime in ("mnn", "ncnn", "openvino", "onnxruntime"):
        request = replace(odd_request(tmp_path, "Add", runtime), precision="int8")
        with pytest.raises(errors.CalibrationMissing) as caught:
            convert(request, tmp_path / "cache", lambda phase: None)
        assert ("int8-dynamic" in caught.value.hint) is (runtime != "ncnn")


def test_a_set_that_cannot_be_fetched_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", os.fspath(tmp_path))
    with pytest.raises(errors.ToolMissing, match=r"mnn .* could not be fetched") as caught:
        packages.MNN.ensure(tmp_path / "tools", lambda phase: None)
    assert "pip install" in caught.value.hint and "mnn.txt" in caught.value.hint
    assert not [path for path in (tmp_path / "tools").iterdir() if path.suffix != ".lock"]
