"""Real runtimes in real workers, judged by numpy: ncnn and ONNX Runtime on one small convolution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeflow_agent.wire import Tensor

# These are the wheels' runtimes; the native workers of the same runtimes have tests of their own.
pytestmark = pytest.mark.parametrize("agent", ["python"], indirect=True)

# Odd sizes: ncnn pads each channel to 16 bytes, which a wrong copy would show.
DRAW = np.random.default_rng(3)
IMAGE = DRAW.standard_normal((3, 7, 5)).astype(np.float32)
WEIGHT = DRAW.standard_normal((4, 3, 3, 3)).astype(np.float32)
BIAS = DRAW.standard_normal(4).astype(np.float32)
FP32 = {"use_fp16_packed": False, "use_fp16_storage": False, "use_fp16_arithmetic": False}
PARAM = """7767517
4 5
Input        in0   0 1 in0
Convolution  conv  1 1 in0 y 0=4 1=3 4=1 5=1 6=108
Split        split 1 2 y y1 out1
ReLU         relu  1 1 y1 out0
"""


def convolved() -> NDArray[np.float64]:
    padded = np.pad(IMAGE.astype(np.float64), ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return np.einsum("chwij,ocij->ohw", windows, WEIGHT) + BIAS[:, None, None]


def tensor(name: str, array: NDArray[Any], number: int = 0) -> Tensor:
    return Tensor(name, str(array.dtype), array.shape, array.tobytes(), number)


def arrays(tensors: list[Tensor]) -> dict[tuple[str, int | None], NDArray[Any]]:
    return {(t.name, t.set): np.frombuffer(t.data, t.dtype).reshape(t.shape) for t in tensors}


@pytest.fixture
def onnx_file(put: Callable[[bytes], str]) -> dict[str, str]:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w", "b"], ["y"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["y"], ["z"]),
        ],
        "conv",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 7, 5])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 7, 5]) for name in ("z", "y")],
        [numpy_helper.from_array(WEIGHT, "w"), numpy_helper.from_array(BIAS, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return {"model": put(model.SerializeToString())}


@pytest.fixture
def ncnn_files(put: Callable[[bytes], str]) -> dict[str, str]:
    return {"param": put(PARAM.encode()), "bin": put(bytes(4) + WEIGHT.tobytes() + BIAS.tobytes())}


def test_onnxruntime_computes_and_says_what_it_was_told(
    connect: Callable[..., Any], onnx_file: dict[str, str]
) -> None:
    client = connect()
    options = {"graph_optimization_level": "basic", "allow_spinning": False}
    result = client.job(
        "infer",
        [tensor("x", IMAGE[None])],
        backend="onnxruntime",
        files=onnx_file,
        options=options,
        threads=2,
    )
    found = arrays(client.tensors())
    np.testing.assert_allclose(found["y", 0][0], convolved(), atol=1e-4)
    np.testing.assert_allclose(found["z", 0][0], convolved().clip(0), atol=1e-4)
    assert result["outputs"] == ["z", "y"]  # the model's order
    told = result["runtime"]["options"]
    assert {name: told[name] for name in options} == options
    assert told["intra_op_num_threads"] == 2 and told["inter_op_num_threads"] == 1
    assert result["runtime"]["compute_dtype"] == "fp32"


def test_ncnn_computes_every_output_of_every_set(
    connect: Callable[..., Any], ncnn_files: dict[str, str]
) -> None:
    client = connect()
    sets = [tensor("in0", IMAGE, 0), tensor("in0", IMAGE * 2, 4)]
    result = client.job("infer", sets, backend="ncnn", files=ncnn_files, options=FP32, threads=2)
    found = arrays(client.tensors())
    assert list(found) == [("out0", 0), ("out1", 0), ("out0", 4), ("out1", 4)]
    np.testing.assert_allclose(found["out1", 0], convolved(), atol=1e-4)
    np.testing.assert_allclose(found["out0", 0], convolved().clip(0), atol=1e-4)
    doubled = 2 * convolved() - BIAS[:, None, None]
    np.testing.assert_allclose(found["out1", 4], doubled, atol=2e-4)
    told = result["runtime"]
    assert {name: told["options"][name] for name in FP32} == FP32 and told["options"]["num_threads"] == 2
    assert told["compute_dtype"] == "fp32"


@pytest.mark.parametrize("kind", ["bench", "memory"])
def test_both_runtimes_are_measured(
    connect: Callable[..., Any], onnx_file: dict[str, str], ncnn_files: dict[str, str], kind: str
) -> None:
    client = connect()
    plan: dict[str, Any] = {"runs": 3}
    if kind == "bench":
        plan = {
            "warmup_min_runs": 3, "warmup_min_ns": 0, "min_samples": 20, "min_ns": 0, "max_samples": 50,
            "budget_ns": 10**9, "ci_target": None, "sample_period_ms": 100,
        }  # fmt: skip
    for backend, files, image in (
        ("onnxruntime", onnx_file, tensor("x", IMAGE[None])),
        ("ncnn", ncnn_files, tensor("in0", IMAGE)),
    ):
        result = client.job(kind, [image], backend=backend, files=files, plan=plan)
        if kind == "memory":
            # Importing a runtime and numpy takes megabytes; this model next to nothing.
            assert 5 << 20 < result["runtime_bytes"] < result["peak_rss_bytes"]
            assert result["interpreter_bytes"] + result["runtime_bytes"] <= result["peak_rss_bytes"]
        else:
            samples = arrays(client.tensors())["samples_ns", None]
            assert samples.shape == (50,) and samples.min() > 0


@pytest.mark.parametrize(
    ("param", "weights", "words"),
    [
        (PARAM.replace("ReLU ", "Tensor.reshape "), None, "Tensor.reshape"),
        (PARAM, 50, ".bin"),
        ("", None, "magic"),
        ("7767517\n1 1\n", None, "ncnn cannot load"),
    ],
)
def test_what_ncnn_cannot_load_is_an_error_with_its_own_words(
    connect: Callable[..., Any],
    said: Any,
    put: Callable[[bytes], str],
    ncnn_files: dict[str, str],
    param: str,
    weights: int | None,
    words: str,
) -> None:
    files = {**ncnn_files, "param": put(param.encode())}
    if weights is not None:
        files["bin"] = put(bytes(weights))
    with pytest.raises(said) as error:
        connect().job("infer", [tensor("in0", IMAGE)], backend="ncnn", files=files)
    assert error.value.code in ("load_failed", "worker_crashed") and error.value.phase == "load"
    assert words in error.value.message or any(words in line for line in error.value.detail["log"])


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (tensor("wrong", IMAGE[None]), "wrong"),
        (tensor("x", IMAGE), "[3, 7, 5]"),
        (tensor("x", IMAGE[None].astype(np.float64)), "float64"),
        (tensor("x", IMAGE[None, :, :, :4].copy()), "[1, 3, 7, 4]"),
    ],
)
def test_an_input_that_does_not_fit_is_named(
    connect: Callable[..., Any], said: Any, onnx_file: dict[str, str], image: Tensor, words: str
) -> None:
    with pytest.raises(said) as error:
        connect().job("infer", [image], backend="onnxruntime", files=onnx_file)
    assert (error.value.code, error.value.phase) == ("bad_input", "bind")
    assert words in error.value.message


def test_inputs_that_ncnn_cannot_take_are_refused(
    connect: Callable[..., Any], said: Any, ncnn_files: dict[str, str]
) -> None:
    client = connect()
    for image in (
        tensor("x", IMAGE),
        tensor("in0", IMAGE.astype(np.float64)),
        tensor("in0", IMAGE[None, None]),
        tensor("in0", IMAGE[:, :0]),
    ):
        with pytest.raises(said) as error:
            client.job("infer", [image], backend="ncnn", files=ncnn_files)
        assert error.value.code == "bad_input"


@pytest.mark.parametrize(
    "option",
    [{"use_fp8_storage": True}, {"use_fp16_storage": 1}, {"num_threads": 4}, {"use_vulkan_compute": True}],
)
def test_an_unknown_option_of_ncnn_is_an_error(
    connect: Callable[..., Any], said: Any, ncnn_files: dict[str, str], option: dict[str, Any]
) -> None:
    with pytest.raises(said) as error:
        connect().job("infer", [tensor("in0", IMAGE)], backend="ncnn", files=ncnn_files, options=option)
    assert error.value.code in ("bad_request", "unsupported_accelerator")


def test_a_model_that_is_none_is_a_load_failure(
    connect: Callable[..., Any], said: Any, put: Callable[[bytes], str], onnx_file: dict[str, str]
) -> None:
    client = connect()
    for files, options, code in (
        ({"model": put(b"not a model")}, {}, "load_failed"),
        (onnx_file, {"enable_magic": True}, "bad_request"),
    ):
        with pytest.raises(said) as error:
            client.job(
                "infer", [tensor("x", IMAGE[None])], backend="onnxruntime", files=files, options=options
            )
        assert error.value.code == code
