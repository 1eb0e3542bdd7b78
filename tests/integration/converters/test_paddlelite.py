"""Paddle Lite with the real opt: every family of operators executed, damaged files, and tools that lie."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeflow_agent.backends import paddlelite_model
from edgeflow_converters import foreign
from edgeflow_converters.arrays import load_sets, save_sets
from edgeflow_converters.base import Artifact, ConvertRequest, Product
from edgeflow_converters.check import compare, tolerance_for
from edgeflow_converters.environments import environment
from edgeflow_converters.errors import ConverterFailed, ConvertError, ConverterTimeout, UnsupportedModel
from edgeflow_converters.paddle.writer import write_program
from edgeflow_converters.targets import get_target, paddlelite_tool

pytestmark = [pytest.mark.network, pytest.mark.timeout(900)]  # the first use installs 270 MB

MODEL = "ppocr-cls"
_RANDOM = np.random.default_rng(3)
_OPT_ALL = """
import json, sys
from paddlelite.lite import Opt
for program, parameters, prefix in json.load(open(sys.argv[1])):
    opt = Opt()
    opt.set_model_file(program); opt.set_param_file(parameters); opt.set_model_type("naive_buffer")
    opt.set_optimize_out(prefix); opt.set_valid_places("x86"); opt.run()
"""


def drawn(*shape: int) -> Any:
    return _RANDOM.standard_normal(shape).astype("f4")


def whole(*values: int) -> Any:
    return np.array(values, np.int64)


IMAGE, ROWS = (1, 8, 12, 16), (2, 6, 10)
NONE = np.zeros(0, "f4")
Case = tuple[str, tuple[int, ...], list[Any], dict[str, Any]]
CASES: dict[str, Case] = {
    "conv": ("Conv", IMAGE, [drawn(4, 8, 3, 3), drawn(4)], {"pads": [1, 0, 2, 1], "strides": [2, 1]}),
    "conv depthwise": ("Conv", IMAGE, [drawn(8, 1, 3, 3)], {"group": 8, "dilations": [2, 2]}),
    "conv groups": (
        "Conv", IMAGE, [drawn(4, 4, 3, 3)], {"group": 2, "auto_pad": "SAME_UPPER", "strides": [2, 2]},
    ),
    "conv 1d": ("Conv", ROWS, [drawn(4, 6, 3), drawn(4)], {"pads": [1, 1]}),
    "deconv": ("ConvTranspose", IMAGE, [drawn(8, 4, 2, 2), drawn(4)], {"strides": [2, 2]}),
    "max pool": ("MaxPool", IMAGE, [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "max pool up": ("MaxPool", IMAGE, [], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    "mean pool": ("AveragePool", IMAGE, [], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    "mean pool counted": (
        "AveragePool", IMAGE, [], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
    ),
    "global mean": ("GlobalAveragePool", IMAGE, [], {}),
    "global max": ("GlobalMaxPool", IMAGE, [], {}),
    "batch norm": ("BatchNormalization", IMAGE, [drawn(8), drawn(8), drawn(8), drawn(8) ** 2 + 1], {}),
    "instance norm": ("InstanceNormalization", IMAGE, [drawn(8), drawn(8)], {}),
    "layer norm": ("LayerNormalization", ROWS, [drawn(10), drawn(10)], {}),
    "lrn": ("LRN", IMAGE, [], {"size": 5, "alpha": 0.1}),
    **{
        kind: (kind, IMAGE, [], {})
        for kind in ("Relu", "Sigmoid", "Tanh", "Exp", "Abs", "Floor", "Sin", "Erf", "LeakyRelu", "Elu",
                     "HardSigmoid", "HardSwish", "Softplus", "Neg", "Reciprocal")
    },
    "gelu": ("Gelu", IMAGE, [], {}),
    "clip": ("Clip", IMAGE, [np.float32(-0.5), np.float32(0.7)], {}),
    "relu6": ("Clip", IMAGE, [np.float32(0), np.float32(6)], {}),
    "prelu": ("PRelu", IMAGE, [drawn(8, 1, 1)], {}),
    "prelu of rows": ("PRelu", (2, 6), [drawn(6)], {}),
    "add": ("Add", IMAGE, [drawn(8, 1, 1)], {}),
    "sub": ("Sub", IMAGE, [drawn(1, 1, 1, 16)], {}),
    "sub number": ("Sub", IMAGE, [np.float32(0.3)], {}),
    "equal": ("Equal", (2, 5), [], {}),
    "div": ("Div", IMAGE, [drawn(1, 8, 12, 1) + 4], {}),
    "min": ("Min", IMAGE, [drawn(1, 8, 1, 1)], {}),
    "add grows": ("Add", (1, 8, 1, 1), [drawn(*IMAGE)], {}),
    "sub grows": ("Sub", (1, 8, 1, 16), [drawn(*IMAGE)], {}),
    "square": ("Pow", IMAGE, [np.float32(2)], {}),
    "cube": ("Pow", IMAGE, [np.float32(3)], {}),
    "gemm": ("Gemm", (3, 6), [drawn(5, 6), drawn(5)], {"transB": 1, "alpha": 0.5, "beta": 2.0}),
    "matmul": ("MatMul", ROWS, [drawn(10, 4)], {}),
    "reshape": ("Reshape", IMAGE, [whole(2, -1, 16)], {}),
    "flatten": ("Flatten", IMAGE, [], {"axis": 2}),
    "unsqueeze": ("Unsqueeze", ROWS, [whole(0, 2)], {}),
    "transpose": ("Transpose", IMAGE, [], {"perm": [0, 2, 3, 1]}),
    "expand": ("Expand", (1, 8, 1, 1), [whole(*IMAGE)], {}),
    "depth dcr": ("DepthToSpace", IMAGE, [], {"blocksize": 2}),
    "depth crd": ("DepthToSpace", IMAGE, [], {"blocksize": 2, "mode": "CRD"}),
    "slice": ("Slice", IMAGE, [whole(1, -9), whole(7, 1000), whole(1, 3)], {}),
    "slice steps": ("Slice", IMAGE, [whole(1), whole(11), whole(2), whole(3)], {}),
    "gather": ("Gather", IMAGE, [whole(3, -1, 0)], {"axis": 1}),
    "gather one": ("Gather", IMAGE, [np.int64(-2)], {"axis": 2}),
    "pad": ("Pad", IMAGE, [whole(0, 0, 1, 2, 0, 0, 3, 0), np.float32(0.5)], {}),
    "pad channels": ("Pad", IMAGE, [whole(0, 1, 0, 0, 0, 2, 0, 0), np.float32(0)], {}),
    "pad reflect": ("Pad", IMAGE, [whole(0, 0, 1, 2, 0, 0, 3, 0)], {"mode": "reflect"}),
    "pad reflect rows": ("Pad", ROWS, [whole(0, 0, 0, 0, 0, 4)], {"mode": "reflect"}),
    "mean": ("ReduceMean", IMAGE, [whole(1, 3)], {}),
    "sum": ("ReduceSum", ROWS, [whole(-1)], {"keepdims": 0}),
    "max": ("ReduceMax", IMAGE, [whole(1)], {}),
    "softmax": ("Softmax", IMAGE, [], {"axis": 1}),
    "nearest": ("Resize", IMAGE, [NONE, np.array([1, 1, 2, 2], "f4")], {"mode": "nearest"}),
    "linear half pixel": ("Resize", IMAGE, [NONE, np.array([1, 1, 2, 2], "f4")], {"mode": "linear"}),
    "linear sizes": ("Resize", IMAGE, [NONE, NONE, whole(1, 8, 7, 31)], {"mode": "linear"}),
    "linear corners": (
        "Resize", IMAGE, [NONE, NONE, whole(1, 8, 24, 31)],
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
    ),
    "linear asymmetric": (
        "Resize", IMAGE, [NONE, np.array([1, 1, 2, 2], "f4")],
        {"mode": "linear", "coordinate_transformation_mode": "asymmetric"},
    ),
}  # fmt: skip
"""Name -> operator, shape of its input, constants, attributes."""


def _equal(shape: tuple[int, ...]) -> onnx.ModelProto:
    """Where an image agrees with its own pixels in the other order along the last axis."""
    last = shape[-1]
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["x", "backwards"], ["other"], axis=len(shape) - 1),
            helper.make_node("Equal", ["x", "other"], ["same"], name="n"),
            helper.make_node("Cast", ["same"], ["y"], to=TensorProto.FLOAT),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.arange(last)[::-1].copy(), "backwards")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def model_of(case: Case) -> onnx.ModelProto:
    kind, shape, constants, attributes = case
    names = [f"c{place}" for place in range(len(constants))]
    if kind == "Equal":  # compares a mirrored image with itself, and gives numbers
        return _equal(shape)
    if kind == "Resize":  # an empty region or scale is one that is not given
        names = [name if array.size else "" for name, array in zip(names, constants, strict=True)]
    graph = helper.make_graph(
        [helper.make_node(kind, ["x", *names], ["y"], name="n", **attributes)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.asarray(array), name)
            for array, name in zip(constants, names, strict=True)
            if name
        ],
    )
    opset = 20 if kind == "Gelu" else 18
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


@pytest.fixture(scope="module")
def outcomes(tools_root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any]]:
    """Case -> what ONNX Runtime and what Paddle Lite answer; one start of each tool for all."""
    import json

    work = tmp_path_factory.mktemp("families")
    python = environment("paddlelite", tools_root).ensure(lambda phase: None)
    programs, jobs, expected = [], [], {}
    for place, (name, case) in enumerate(CASES.items()):
        model = model_of(case)
        folder = work / str(place)
        folder.mkdir()
        values = {"x": _RANDOM.standard_normal(case[1]).astype("f4")}
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        expected[name] = session.run(None, values)[0]
        shape = helper.make_tensor_value_info("y", TensorProto.FLOAT, expected[name].shape)
        model.graph.output[0].CopyFrom(shape)
        onnx.save(model, folder / "m.onnx")
        files = [folder / "m.pdmodel", folder / "m.pdiparams"]
        inputs, outputs = write_program(folder / "m.onnx", *files)
        programs.append([*map(str, files), str(folder / "m")])
        save_sets(folder / "samples.npz", [values])
        jobs.append(
            {
                "model": str(folder / "m.nb"),
                "samples": str(folder / "samples.npz"),
                "result": str(folder / "outputs.npz"),
                "inputs": [
                    {"name": "x", "runtime_name": inputs[0], "dtype": "float32", "runtime_shape": case[1]}
                ],
                "outputs": [{"name": "y", "runtime_name": outputs[0], "shape": expected[name].shape}],
            }
        )
    (work / "programs.json").write_text(json.dumps(programs))
    done = subprocess.run(
        [python, "-I", "-c", _OPT_ALL, work / "programs.json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-1500:]
    foreign.call("paddle_run", python, {"jobs": jobs}, what="families", cwd=work, timeout_s=120)
    return {
        name: (expected[name], load_sets(Path(job["result"]))[0]["y"])
        for name, job in zip(CASES, jobs, strict=True)
    }


@pytest.mark.parametrize("name", CASES)
def test_every_family_computes_what_onnx_says(name: str, outcomes: dict[str, tuple[Any, Any]]) -> None:
    expected, found = outcomes[name]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5)


# --- a real model, and what damage does to it --------------------------------------------------------


@pytest.fixture(scope="module")
def artifact(artifact_of: Callable[[str, str, str], Artifact]) -> Artifact:
    return artifact_of(MODEL, "paddlelite", "fp32")


def test_a_file_for_each_processor_is_made_and_told_apart(artifact: Artifact) -> None:
    assert artifact.verdict.passed and artifact.verdict.rel_err_max < 1e-4
    for role, place in (("model", "x86"), ("model_arm", "arm")):
        path = artifact.path / artifact.files[role]
        assert paddlelite_model.read_model(str(path)).kernels
        paddlelite_tool.require_place(path, place)
        with pytest.raises(ConverterFailed, match="for another target"):
            paddlelite_tool.require_place(path, "arm" if place == "x86" else "x86")
        assert path.read_bytes()[11:18] == bytes(7)  # what opt leaves as it finds it in memory
    assert any("ARM file" in note and "not executed" in note for note in artifact.notes)


def test_int8_weights_are_a_quarter_and_agree(
    artifact: Artifact, artifact_of: Callable[[str, str, str], Artifact]
) -> None:
    small = artifact_of(MODEL, "paddlelite", "int8-dynamic")
    assert (small.weights_dtype, small.compute_dtype) == ("int8", "fp32")
    assert small.size_bytes < 0.6 * artifact.size_bytes
    assert small.verdict.rel_err_max > 1e-4  # 8 bits, not fp32 under another name


def why_rejected(
    artifact: Artifact, request: ConvertRequest, data: bytes, work: Path, tools_root: Path
) -> str:
    (work / "model.nb").write_bytes(data)
    product = Product({"model": "model.nb"}, artifact.inputs, artifact.outputs, {}, "fp32", "fp32", {})
    save_sets(work / "samples.npz", request.samples)
    session = onnxruntime.InferenceSession(request.source, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_outputs()]
    reference = [dict(zip(names, session.run(None, dict(each)), strict=True)) for each in request.samples]
    try:
        target = get_target("paddlelite", tools_root)
        target.run(product, work, work / "samples.npz", work / "outputs.npz", work, 60)
    except ConvertError as error:
        return error.message
    return "; ".join(compare(reference, load_sets(work / "outputs.npz"), tolerance_for("fp32")).reasons)


def flipped(data: bytes, seed: int) -> bytes:
    """A quarter of the runs of 32 plausible float32 weights, at any byte, with their signs changed."""
    runs = []
    for shift in range(4):
        count = (len(data) - shift) // 4
        with np.errstate(invalid="ignore", over="ignore"):
            size = np.abs(np.frombuffer(data, "<f4", count, shift).astype("f8"))
            fine = (size > 1e-4) & (size < 4)
        runs += [shift + 4 * at for at in range(0, count - 32, 32) if fine[at : at + 32].all()]
    assert len(runs) > 20
    changed = bytearray(data)
    for start in np.random.default_rng(seed).choice(runs, len(runs) // 4, replace=False):
        for place in range(start + 3, start + 128, 4):
            changed[place] ^= 0x80
    return bytes(changed)


def test_damaged_products_are_caught(
    artifact: Artifact, request_for: Callable[..., ConvertRequest], tmp_path: Path, tools_root: Path
) -> None:
    request = request_for(MODEL, "paddlelite", "fp32")
    data = (artifact.path / artifact.files["model"]).read_bytes()
    assert why_rejected(artifact, request, data, tmp_path, tools_root) == ""
    damaged = {
        "empty": b"",
        "cut in the graph": data[:3000],
        "cut in the weights": data[: len(data) * 2 // 3],
        "for ARM": (artifact.path / artifact.files["model_arm"]).read_bytes(),
        **{f"signs {seed}": flipped(data, seed) for seed in range(5)},
    }
    accepted = [
        name
        for name, content in damaged.items()
        if not why_rejected(artifact, request, content, tmp_path, tools_root)
    ]
    assert accepted == []


# --- an opt that misbehaves --------------------------------------------------------------------------

_SAYS_OK = "import json, sys; json.dump({'ok': {'version': 'x'}}, open(sys.argv[-1], 'w'))"
FAKES: dict[str, tuple[str, type[ConvertError], str]] = {
    "aborts": ("os.abort()", ConverterFailed, f"crashed ({signal.SIGABRT.name})"),
    "writes nothing": (_SAYS_OK, ConverterFailed, "said success and wrote no model"),
    "writes rubbish": (
        _SAYS_OK + "; open(json.load(open(sys.argv[-2]))['prefix'] + '.nb', 'w').write('x' * 99)",
        ConverterFailed, "is no .nb model",
    ),
    "lacks an operator": (
        "print(\"These unsupported ops are: 'erf'.\"); os.abort()", UnsupportedModel, "has no erf for x86",
    ),
    "hangs": ("signal.pause()", ConverterTimeout, "did not end within 2 s"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FAKES)
def test_an_opt_that_misbehaves(kind: str, tmp_path: Path) -> None:
    code, error_class, words = FAKES[kind]
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\nimport os, signal\n{code}\n")
    python.chmod(0o755)
    with pytest.raises(error_class) as caught:
        paddlelite_tool.opt(
            python,
            tmp_path / "m.pdmodel",
            tmp_path / "m.pdiparams",
            tmp_path / "m.nb",
            "x86",
            "fp32",
            2,
            tmp_path,
        )
    assert words in caught.value.message
