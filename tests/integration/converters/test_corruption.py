"""The gate, judged from outside: artifacts broken on purpose must be caught, intact ones must not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeflow_converters.arrays import load_sets, save_sets
from edgeflow_converters.base import Artifact, ConvertRequest, Product
from edgeflow_converters.cache import Cache
from edgeflow_converters.check import compare, tolerance_for
from edgeflow_converters.errors import ConvertError
from edgeflow_converters.reference import reference_outputs
from edgeflow_converters.targets import get_target
from edgeflow_converters.targets.ncnn_param import Layer, parse_param, write_param
from edgeflow_converters.targets.ncnn_weights import TAG_FP16, walk

pytestmark = pytest.mark.network

Corrupt = Callable[[Path], None]


def why_rejected(
    artifact: Artifact, request: ConvertRequest, folder: Path, work: Path, cache_root: Path, tools_root: Path
) -> str:
    """What the product's own runner and the gate say about the files in `folder`; "" if they accept them."""
    product = Product(
        files=artifact.files,
        inputs=artifact.inputs,
        outputs=artifact.outputs,
        runtime_options=artifact.runtime_options,
        weights_dtype=artifact.weights_dtype,
        compute_dtype=artifact.compute_dtype,
        tools=artifact.tools,
    )
    reference: list[dict[str, Any]] = reference_outputs(
        request.source, artifact.source_sha256, request.samples, Cache(cache_root), timeout_s=120
    )
    save_sets(work / "samples.npz", request.samples)
    try:
        get_target(artifact.runtime, tools_root).run(
            product, folder, work / "samples.npz", work / "outputs.npz", work, 120
        )
    except ConvertError as error:
        return error.message
    outputs = load_sets(work / "outputs.npz")
    verdict = compare(reference, outputs, tolerance_for(artifact.precision))
    return "; ".join(verdict.reasons)


# --- ways to break an ncnn model -------------------------------------------------------------------


def edit_weights(kind: str, nth: int, change: Callable[[Any], None], block: int = 0) -> Corrupt:
    """Change block `block` (0: weights, 1: bias) of the nth layer of a kind, in a float32 .bin."""

    def corrupt(folder: Path) -> None:
        layers = parse_param(folder / "model.param")
        data = bytearray((folder / "model.bin").read_bytes())
        layer = [index for index, candidate in enumerate(layers) if candidate.kind == kind][nth]
        place = [found for found in walk(layers, bytes(data)) if found.layer == layer][block]
        values = np.frombuffer(bytes(data), "<f4", place.count, place.offset).copy()
        change(values)
        data[place.offset : place.offset + 4 * place.count] = values.tobytes()
        (folder / "model.bin").write_bytes(bytes(data))

    return corrupt


def edit_layer(kind: str, nth: int, **params: str) -> Corrupt:
    """Change parameters of the nth layer of a kind; names are p0, p1, ..."""

    def corrupt(folder: Path) -> None:
        layers = parse_param(folder / "model.param")
        index = [i for i, layer in enumerate(layers) if layer.kind == kind][nth]
        changed = {name.removeprefix("p"): value for name, value in params.items()}
        assert any(layers[index].params.get(key) != value for key, value in changed.items())
        layers[index] = replace(layers[index], params={**layers[index].params, **changed})
        write_param(layers, folder / "model.param")

    return corrupt


def swap_outputs(first: str, second: str) -> Corrupt:
    def corrupt(folder: Path) -> None:
        names = {first: second, second: first}
        layers = [
            replace(layer, outputs=tuple(names.get(name, name) for name in layer.outputs))
            for layer in parse_param(folder / "model.param")
        ]
        write_param(layers, folder / "model.param")

    return corrupt


def bypass(kind: str, nth: int) -> Corrupt:
    """Let the nth layer of a kind do nothing."""

    def corrupt(folder: Path) -> None:
        layers = parse_param(folder / "model.param")
        index = [i for i, layer in enumerate(layers) if layer.kind == kind][nth]
        old = layers[index]
        layers[index] = Layer("Noop", old.name, old.inputs, old.outputs, {})
        write_param(layers, folder / "model.param")

    return corrupt


def truncate(name: str, share: float) -> Corrupt:
    def corrupt(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * share)])

    return corrupt


def half_value(value: float) -> Corrupt:
    """Overwrite one float16 weight in the first half-precision block of the .bin."""

    def corrupt(folder: Path) -> None:
        data = bytearray((folder / "model.bin").read_bytes())
        place = bytes(data).index(TAG_FP16.to_bytes(4, "little")) + 4
        data[place : place + 2] = np.array([value], "<f2").tobytes()
        (folder / "model.bin").write_bytes(bytes(data))

    return corrupt


def scale(factor: float) -> Callable[[Any], None]:
    def change(values: Any) -> None:
        values *= factor

    return change


def zero(values: Any) -> None:
    values[:] = 0


def swap_halves(values: Any) -> None:
    half = values.size // 2
    values[:] = np.concatenate([values[half:], values[:half]])


def flip_strongest(values: Any) -> None:
    values[np.argmax(np.abs(values))] *= -1


# --- ways to break an ONNX model -------------------------------------------------------------------


def edit_onnx(change: Callable[[onnx.ModelProto], None]) -> Corrupt:
    def corrupt(folder: Path) -> None:
        model = onnx.load(folder / "model.onnx")
        change(model)
        onnx.save(model, folder / "model.onnx")

    return corrupt


def edit_initializer(op: str, nth: int, position: int, change: Callable[[Any], None]) -> Corrupt:
    """Change the constant at input `position` of the nth node of kind `op`."""

    def edit(model: onnx.ModelProto) -> None:
        node = [node for node in model.graph.node if node.op_type == op][nth]
        tensor = next(t for t in model.graph.initializer if t.name == node.input[position])
        values = numpy_helper.to_array(tensor).copy()
        change(values)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    return edit_onnx(edit)


def replace_op(op: str, nth: int, new: str) -> Corrupt:
    def edit(model: onnx.ModelProto) -> None:
        node = [node for node in model.graph.node if node.op_type == op][nth]
        node.op_type = new
        del node.attribute[:]

    return edit_onnx(edit)


def swap_channels(values: Any) -> None:
    values[[0, 1]] = values[[1, 0]]


def reverse_columns(values: Any) -> None:
    values[:] = values[:, ::-1].copy()


def swap_gates(values: Any) -> None:
    hidden = values.shape[1] // 4
    values[:, :hidden], values[:, hidden : 2 * hidden] = (
        values[:, hidden : 2 * hidden].copy(),
        values[:, :hidden].copy(),
    )


def swap_inputs(op: str, nth: int) -> Corrupt:
    def edit(model: onnx.ModelProto) -> None:
        node = [node for node in model.graph.node if node.op_type == op][nth]
        node.input[0], node.input[1] = node.input[1], node.input[0]

    return edit_onnx(edit)


PPLCNET = ("pplcnet-orientation", "ncnn", "fp32")
PPLCNET_ONNX = ("pplcnet-orientation", "onnxruntime", "fp32")
ONET = ("mtcnn-onet", "ncnn", "fp32")
CLS_FP16 = ("ppocr-cls", "ncnn", "fp16")
CLS_ONNX = ("ppocr-cls", "onnxruntime", "fp32")
SILERO = ("silero-vad", "onnxruntime", "fp32")
DEPTHWISE = "ConvolutionDepthWise"

CASES: list[tuple[str, str, str, str, Corrupt]] = [
    ("middle convolution x 1.05", *PPLCNET, edit_weights("Convolution", 8, scale(1.05))),
    ("first convolution x 1.05", *PPLCNET, edit_weights("Convolution", 0, scale(1.05))),
    ("depthwise layer x 0.95", *PPLCNET, edit_weights(DEPTHWISE, 5, scale(0.95))),
    ("bias dropped", *PPLCNET, edit_weights("Convolution", 4, zero, 1)),
    ("classifier's bias dropped", *PPLCNET, edit_weights("InnerProduct", -1, zero, 1)),
    ("channels swapped", *PPLCNET, edit_weights("Convolution", 3, swap_halves)),
    ("one weight's sign", *PPLCNET, edit_weights("Convolution", -1, flip_strongest)),
    ("stride changed", *PPLCNET, edit_layer(DEPTHWISE, 1, p3="1")),
    ("activation skipped", *PPLCNET, bypass("HardSwish", 6)),
    ("bin truncated", *PPLCNET, truncate("model.bin", 0.9)),
    ("param truncated", *PPLCNET, truncate("model.param", 0.7)),
    ("pooling pads on the other side", *ONET, edit_layer("Padding", 0, p0="1", p1="0", p2="1", p3="0")),
    ("slopes dropped", *ONET, edit_weights("PReLU", 1, zero)),
    ("axes not permuted", *ONET, bypass("Permute", -1)),
    ("outputs swapped", *ONET, swap_outputs("out0", "out2")),
    ("classes swapped", *CLS_ONNX, edit_initializer("Gemm", -1, 1, reverse_columns)),
    ("average replaced by maximum", *CLS_ONNX, replace_op("GlobalAveragePool", 2, "GlobalMaxPool")),
    ("fp16 NaN", *CLS_FP16, half_value(float("nan"))),
    ("fp16 infinity", *CLS_FP16, half_value(float("inf"))),
    ("fp16 weight 100", *CLS_FP16, half_value(100.0)),
    ("onnx convolution x 1.05", *PPLCNET_ONNX, edit_initializer("Conv", 10, 1, scale(1.05))),
    ("onnx channels swapped", *PPLCNET_ONNX, edit_initializer("Conv", 4, 1, swap_channels)),
    ("onnx activation replaced", *PPLCNET_ONNX, replace_op("HardSwish", 3, "Relu")),
    ("onnx file truncated", *PPLCNET_ONNX, truncate("model.onnx", 0.8)),
    ("gates swapped", *SILERO, edit_initializer("LSTM", 0, 1, swap_gates)),
    ("states swapped", *SILERO, swap_inputs("Concat", -1)),
    ("spectrum x 1.05", *SILERO, edit_initializer("Conv", 0, 1, scale(1.05))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "runtime", "precision", "corrupt"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_corrupted_artifact_is_caught(
    name: str,
    runtime: str,
    precision: str,
    corrupt: Corrupt,
    artifact_of: Callable[[str, str, str], Artifact],
    request_for: Callable[..., ConvertRequest],
    cache_root: Path,
    tools_root: Path,
    tmp_path: Path,
) -> None:
    artifact = artifact_of(name, runtime, precision)
    folder = tmp_path / "broken"
    shutil.copytree(artifact.path, folder)
    corrupt(folder)
    changed = [file for file in artifact.files.values() if _differs(artifact.path / file, folder / file)]
    assert changed, "the corruption changed nothing"
    request = request_for(name, runtime, precision)
    assert why_rejected(artifact, request, folder, tmp_path, cache_root, tools_root)


@pytest.mark.parametrize(
    ("name", "runtime", "precision"),
    sorted({(name, runtime, precision) for _, name, runtime, precision, _ in CASES}),
)
def test_an_intact_artifact_is_accepted_on_inputs_it_has_not_seen(
    name: str,
    runtime: str,
    precision: str,
    artifact_of: Callable[[str, str, str], Artifact],
    request_for: Callable[..., ConvertRequest],
    cache_root: Path,
    tools_root: Path,
    tmp_path: Path,
) -> None:
    artifact = artifact_of(name, runtime, precision)
    request = request_for(name, runtime, precision, seed=20261122)
    assert why_rejected(artifact, request, artifact.path, tmp_path, cache_root, tools_root) == ""


def _differs(first: Path, second: Path) -> bool:
    return first.read_bytes() != second.read_bytes()
