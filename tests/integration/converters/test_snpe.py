"""SNPE without Qualcomm's SDK: a .dlc by ONNX Runtime's QNN provider, its graph on the HTP emulator."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeflow_converters.base import ConvertRequest, Product
from edgeflow_converters.dlc import read_dlc
from edgeflow_converters.errors import NumericsDisagree, ToolMissing, UnknownTarget, UnsupportedModel
from edgeflow_converters.pipeline import convert
from edgeflow_converters.targets import snpe

pytestmark = pytest.mark.skipif(bool(snpe._unfit_host()), reason=snpe._unfit_host() or "fits")

SHAPE = (1, 3, 8, 8)


@pytest.fixture(autouse=True)
def no_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in snpe.snpe_sdk.VARIABLES:
        monkeypatch.delenv(name, raising=False)


def save_model(
    folder: Path, ops: Sequence[tuple[str, dict[str, Any]]] = (("HardSigmoid", {}), ("Neg", {}))
) -> Path:
    """A convolution, a ReLU, then `ops`."""
    random = np.random.default_rng(0)
    weights = [("w", random.normal(size=(4, 3, 3, 3))), ("b", random.normal(size=4))]
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["v0"], pads=[1] * 4),
        helper.make_node("Relu", ["v0"], ["v1"]),
    ]
    for index, (kind, attributes) in enumerate(ops, 1):
        nodes.append(helper.make_node(kind, [f"v{index}"], [f"v{index + 1}"], **attributes))
    nodes[-1].output[0] = "y"
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights],
    )
    model = onnx.shape_inference.infer_shapes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    )
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def request_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ConvertRequest]:
    source = save_model(tmp_path_factory.mktemp("snpe"))
    random = np.random.default_rng(1)
    sets = [{"x": random.normal(size=SHAPE).astype(np.float32)} for _ in range(3)]
    base = ConvertRequest(
        source=source,
        runtime="snpe",
        precision="fp32",
        input_shapes={"x": SHAPE},
        samples=sets,
        calibration=sets,
    )
    return lambda **changes: replace(base, **changes)


@pytest.fixture(scope="module")
def converted(
    request_of: Callable[..., ConvertRequest], cache_root: Path, tools_root: Path
) -> Callable[..., Any]:
    return lambda **changes: convert(
        request_of(**changes), cache_root, lambda phase: None, tools_root=tools_root
    )


def constants(path: Path) -> set[str]:
    return {tensor.dtype for tensor in read_dlc(path).of_kind("constant") if len(tensor.shape) == 4}


@pytest.mark.parametrize(
    ("changes", "weights", "compute"),
    [
        ({"precision": "fp32"}, "float32", "fp32"),
        ({"precision": "fp16"}, "float16", "fp16"),
        ({"precision": "int8"}, "sfixed8", "8-bit activations"),
        (
            {"precision": "int8", "options": {"activations": 16, "htp": ("v73",)}},
            "sfixed8",
            "16-bit activations",
        ),
    ],
    ids=["fp32", "fp16", "int8", "int8-a16"],
)
def test_one_dlc_is_written_and_its_graph_is_right_on_the_emulator(
    converted: Callable[..., Any], changes: dict[str, Any], weights: str, compute: str
) -> None:
    artifact = converted(**changes)
    assert artifact.verdict.passed and artifact.verdict.samples == 3
    assert compute in artifact.compute_dtype
    assert any(note.startswith(snpe.WHAT_IT_IS) for note in artifact.notes)
    dlc = read_dlc(artifact.path / artifact.files["model"])
    assert constants(artifact.path / artifact.files["model"]) == {weights}
    assert [(t.name, t.dtype, t.shape) for t in dlc.of_kind("input")] == [("x", "float32", SHAPE)]
    assert [(t.name, t.dtype) for t in dlc.of_kind("output")] == [("y", "float32")]
    inner = {tensor.dtype for tensor in dlc.of_kind("inner")}
    assert ("ufixed16" in inner) == (changes.get("options") is not None)
    if "options" in changes:
        context = onnx.load(artifact.path / artifact.files["htp-v73"])
        assert [node.op_type for node in context.graph.node] == ["EPContext"]


def test_a_graph_that_became_another_is_caught(
    converted: Callable[..., Any], request_of: Callable[..., ConvertRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = snpe.SnpeConverter.run

    def damaged(self: Any, product: Product, folder: Path, *rest: Any) -> None:
        path = folder / product.files["graph"]
        model = onnx.load(path)
        (weights,) = [tensor for tensor in model.graph.initializer if len(tensor.dims) == 4]
        flipped = numpy_helper.to_array(weights)[:, :, ::-1].copy()
        weights.CopyFrom(numpy_helper.from_array(flipped, weights.name))
        onnx.save(model, path)
        real(self, product, folder, *rest)

    monkeypatch.setattr(snpe.SnpeConverter, "run", damaged)
    with pytest.raises(NumericsDisagree, match=r"snpe fp32 of model\.onnx disagrees with ONNX Runtime"):
        # Other samples, so that nothing is found in the cache.
        converted(samples=request_of().samples[:2])


def test_an_operator_that_parts_the_graph_is_named(converted: Callable[..., Any], tmp_path: Path) -> None:
    source = save_model(tmp_path, [("Det", {}), ("Sigmoid", {})])
    with pytest.raises(UnsupportedModel, match="these operators are not QNN's: Det"):
        converted(source=source)


def test_options_that_there_are_not_are_refused(converted: Callable[..., Any]) -> None:
    for options in ({"activations": 4}, {"htp": ("v1",)}, {"speed": "high"}):
        with pytest.raises(UnknownTarget):
            converted(options=options)


def test_an_older_system_is_told_what_is_missing(
    converted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snpe.platform, "libc_ver", lambda: ("glibc", "2.31"))
    with pytest.raises(ToolMissing, match=r"needs glibc 2\.35 or newer, this system has glibc 2\.31"):
        converted()
    monkeypatch.setattr(snpe.platform, "machine", lambda: "aarch64")
    with pytest.raises(ToolMissing, match="for x86-64 Linux, this is Linux aarch64"):
        converted()


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="its wheels end at Python 3.13")
def test_a_deploy_here_is_emulated_and_invalid_whatever_else(edgeflow: Any, tmp_path: Path) -> None:
    save_model(tmp_path)
    words = ["deploy", tmp_path / "model.onnx", "--device", "local", "--runtime", "snpe", "--json"]
    done = edgeflow(*words, "--budget-s", "2", "--require-valid")
    assert done.code == 1, done.err  # measured and stored, and not valid
    document = done.document
    assert document["validity"]["state"] == "invalid"
    assert "emulated" in document["validity"]["reasons"]
    assert document["numerics"]["verdict"] == "pass"
    assert "HTP emulator" in document["runtime"]["version"]
    assert document["runtime"]["options"]["emulated"] is True
    inspected = edgeflow("inspect", document["artifact"]["path"], "--json").document
    assert inspected["schema"] == "edgeflow.inspect/1"
    assert [file["format"] for file in inspected["files"]] == ["ONNX", "QAIRT DLC"]
    assert json.dumps(inspected["artifact"]["notes"]).count(snpe.WHAT_IT_IS) == 1
