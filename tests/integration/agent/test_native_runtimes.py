"""Native workers of real runtimes, as sites of the native core, against the Python agent."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edgeflow_agent
import native_agent
import native_workers
from edgeflow_agent.wire import Tensor
from edgeflow_converters import foreign
from edgeflow_converters.environments import environment
from edgeflow_converters.precision import lookup
from edgeflow_converters.targets.ncnn_int8 import quantizable, write_int8
from edgeflow_converters.targets.ncnn_param import parse_param, write_param

if TYPE_CHECKING:
    from conftest import Agent

pytestmark = [
    pytest.mark.parametrize("agent", ["native"], indirect=True),
    pytest.mark.network,
    pytest.mark.timeout(1200),  # the first run builds ncnn
]

RUNTIMES = ("ncnn", "onnxruntime", "tflite", "mnn")
BY_WHEEL = ("tflite", "mnn")  # not in the Python of the tests
MODEL = "zoo:pplcnet-orientation"
FACE = ("mediapipe==0.10.14", "mediapipe/modules/face_detection/face_detection_short_range.tflite")
DRAW = np.random.default_rng(11)
FP32 = {"use_fp16_packed": False, "use_fp16_storage": False, "use_fp16_arithmetic": False}
CONVERT = (
    "import sys; sys.path.insert(0, sys.argv[1]); import _tools; getattr(_tools, sys.argv[2])(sys.argv[3:])"
)


@dataclass(frozen=True)
class Case:
    """One model of one runtime, as jobs take it, with an input that fits."""

    runtime: str
    files: dict[str, str]
    input: Tensor
    options: dict[str, Any]

    def params(self, **more: Any) -> dict[str, Any]:
        return {"backend": self.runtime, "files": self.files, "options": self.options, "threads": 2, **more}


def tensor(name: str, array: NDArray[Any], number: int = 0) -> Tensor:
    return Tensor(name, str(array.dtype), array.shape, array.tobytes(), number)


def arrays(tensors: list[Tensor]) -> dict[tuple[str, int | None], NDArray[Any]]:
    return {(t.name, t.set): np.frombuffer(t.data, t.dtype).reshape(t.shape) for t in tensors}


@pytest.fixture
def unpack(agent: Agent, work: Path, put: Callable[[bytes], str]) -> Callable[..., str]:
    """Makes the native site of a runtime in the work folder, `without` a file of it; gives its key."""

    def make(runtime: str, *, without: str = "", with_libc: bool = False, layers: str = "common") -> str:
        try:
            files = native_workers.site(runtime, with_libc=with_libc, layers=layers)
        except native_agent.NoToolsError as error:
            if native_agent.required():
                raise
            pytest.skip(f"the native worker is not built here: {error}")
        named = [f"{name}={put(path.read_bytes())}" for name, path in files.items() if name != without]
        about = ["--runtime", runtime, "--version", native_workers.version(runtime), "--target", "host"]
        done = subprocess.run(agent.argv("unpack", work, *about, *named), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        key: str = json.loads(done.stdout)["site"]
        return key

    return make


@pytest.fixture(scope="session")
def converted(warm_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder with a zoo model for a runtime."""
    kept: dict[str, Path] = {}

    def convert(runtime: str) -> Path:
        if runtime not in kept:
            folder = tmp_path_factory.mktemp(runtime)
            if runtime == "mnn":
                mnnconvert(convert("onnxruntime") / "model.onnx", folder / "model.mnn")
            else:
                from conftest import run_edgeflow

                run = run_edgeflow(warm_home, folder, "convert", MODEL, "-r", runtime, "-o", str(folder))
                assert run.code == 0, run.err
            kept[runtime] = folder
        return kept[runtime]

    return convert


def mnnconvert(source: Path, product: Path, *flags: str) -> None:
    words = ["-f", "ONNX", "--modelFile", str(source), "--MNNModel", str(product), "--bizCode", "edgeflow"]
    assert "Converted Success!" in mnn_tool("mnnconvert", product.parent, *words, *flags)


def mnnquant(source: Path, product: Path, sample: np.ndarray[Any, Any]) -> None:
    """Static 8 bits, by one sample."""
    one = product.parent / "calibration" / "1"
    one.mkdir(parents=True)
    told = {"inputs": [{"name": "x", "shape": list(sample.shape)}], "outputs": []}
    (one / "input.json").write_text(json.dumps(told))
    np.savetxt(one / "x.txt", sample.reshape(-1))
    config = {
        "input_type": "sequence", "path": f"{one.parent}/", "used_sample_num": 1, "batch_size": 1,
        "feature_quantize_method": "EMA", "weight_quantize_method": "MAX_ABS", "quant_bits": 8,
    }  # fmt: skip
    (product.parent / "quant.json").write_text(json.dumps(config))
    words = (str(source), str(product), str(product.parent / "quant.json"))
    assert "Quantize model done!" in mnn_tool("mnnquant", product.parent, *words)


def mnn_tool(name: str, folder: Path, *words: str) -> str:
    """What a tool of MNN's wheel prints, which is all that tells whether it worked."""
    argv = [sys.executable, "-c", CONVERT, native_workers.wheel("mnn"), name, "x", *words]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False).stdout


@pytest.fixture
def case(converted: Callable[[str], Path], put: Callable[[bytes], str]) -> Callable[[str], Case]:
    def make(runtime: str) -> Case:
        image = DRAW.standard_normal((1, 3, 224, 224)).astype(np.float32)
        if runtime == "tflite":
            face = DRAW.standard_normal((1, 128, 128, 3)).astype(np.float32)
            model = put(native_workers.package_file(*FACE).read_bytes())
            return Case(runtime, {"model": model}, tensor("input", face), {})
        folder = converted(runtime)
        if runtime == "ncnn":
            files = {role: put((folder / f"model.{role}").read_bytes()) for role in ("param", "bin")}
            return Case(runtime, files, tensor("in0", image[0]), FP32)
        suffix = {"onnxruntime": "onnx", "mnn": "mnn"}[runtime]
        return Case(
            runtime, {"model": put((folder / f"model.{suffix}").read_bytes())}, tensor("x", image), {}
        )

    return make


@pytest.fixture
def python(connect: Callable[..., Any], work: Path) -> Callable[[str], Any]:
    """A client of the Python agent in the same work folder, with the runtime's pinned wheel."""

    def open_client(runtime: str) -> Any:
        path = [str(Path(edgeflow_agent.__file__).parent.parent)]
        if runtime in BY_WHEEL:
            path.append(str(native_workers.wheel(runtime)))
        argv = ["env", "PYTHONPATH=" + ":".join(path), sys.executable, "-m", "edgeflow_agent", "core"]
        return connect(argv=[*argv, "--work", str(work)])

    return open_client


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_native_and_python_agents_compute_and_tell_the_same(
    runtime: str, unpack: Any, case: Any, connect: Callable[..., Any], python: Any
) -> None:
    key, given = unpack(runtime), case(runtime)
    native, peer = connect(), python(runtime)
    greeting = native.greeting["backends"][runtime]
    assert greeting == {"available": True, "version": native_workers.version(runtime), "site": key}
    told = native.job("infer", [given.input], **given.params(site=key))
    expected = peer.job("infer", [given.input], **given.params())
    assert (told["inputs"], told["outputs"]) == (expected["inputs"], expected["outputs"])
    if told["runtime"]["version"] == expected["runtime"]["version"]:  # else the tests' Python has another
        assert told["runtime"] == expected["runtime"]
    assert (
        told["runtime"]["options"]["num_threads" if runtime != "onnxruntime" else "intra_op_num_threads"] == 2
    )
    found, wanted = arrays(native.tensors()), arrays(peer.tensors())
    assert list(found) == list(wanted) and len(found) >= 1
    for name, values in wanted.items():
        assert found[name].dtype == values.dtype and found[name].shape == values.shape
        assert np.abs(values).max() > 0
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-5 * float(np.abs(values).max()))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_both_agents_refuse_alike(
    runtime: str, unpack: Any, case: Any, connect: Callable[..., Any], python: Any, put: Any, said: Any
) -> None:
    unpack(runtime)
    given = case(runtime)
    name, shape = given.input.name, given.input.shape
    rubbish = dict.fromkeys(given.files, put(b"not a model of anybody"))
    attempts = (
        ("bad_input", [tensor("nobody", np.zeros(shape, np.float32))], {}),
        ("bad_input", [tensor(name, np.zeros(shape, np.float64))], {}),
        ("bad_request", [given.input], {"options": {"nobody": True}}),
        ("load_failed", [given.input], {"files": rubbish}),
    )
    clients = (connect(), python(runtime))
    for code, tensors, more in attempts:
        errors = []
        for client in clients:
            with pytest.raises(said) as caught:
                client.job("infer", tensors, **{**given.params(), **more})
            errors.append(caught.value)
        assert [error.code for error in errors] == [code, code]
        assert errors[0].phase == errors[1].phase
        if code == "bad_input":
            assert errors[0].message == errors[1].message and name in errors[0].message
    if runtime != "ncnn":  # which takes any shape and computes something
        with pytest.raises(said, match=rf"input {name} is float32\[1, .*\], got float32\[2\]"):
            clients[0].job("infer", [tensor(name, np.zeros(2, np.float32))], **given.params())


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_native_runtimes_are_measured(
    runtime: str, unpack: Any, case: Any, connect: Callable[..., Any]
) -> None:
    unpack(runtime)
    given, client = case(runtime), connect()
    memory = client.job("memory", [given.input], **given.params(plan={"runs": 2}))
    assert memory["interpreter_bytes"] is None and memory["runtime_bytes"] >= 0
    assert 0 < memory["model_bytes"] < memory["peak_rss_bytes"]
    plan = {
        "warmup_min_runs": 2, "warmup_min_ns": 0, "min_samples": 10, "min_ns": 0, "max_samples": 20,
        "budget_ns": 10**10, "ci_target": None, "sample_period_ms": 100,
    }  # fmt: skip
    bench = client.job("bench", [given.input], **given.params(plan=plan))
    samples = arrays(client.tensors())["samples_ns", None]
    assert bench["stop"] == "max_samples" and len(samples) == 20 and samples.min() > 10_000


def test_mnn_tells_integers_from_weights_that_are_widened(
    unpack: Any, converted: Any, connect: Callable[..., Any], python: Any, put: Any, tmp_path: Path
) -> None:
    unpack("mnn")
    sample = DRAW.standard_normal((1, 3, 224, 224)).astype(np.float32)
    floats, weights, static = (
        converted("mnn") / "model.mnn",
        tmp_path / "weights.mnn",
        tmp_path / "static.mnn",
    )
    mnnconvert(converted("onnxruntime") / "model.onnx", weights, "--weightQuantBits", "8")
    mnnquant(floats, static, sample)
    models = {floats: "fp32", weights: "fp32", static: "int8"}
    for client in (connect(), python("mnn")):
        for model, computes in models.items():
            params = {"backend": "mnn", "files": {"model": put(model.read_bytes())}}
            told = client.job("infer", [tensor("x", sample)], **params)
            assert told["runtime"]["compute_dtype"] == computes, model


def test_tflite_tells_integers_from_weights_that_are_widened(
    unpack: Any,
    converted: Any,
    connect: Callable[..., Any],
    python: Any,
    put: Any,
    warm_home: Path,
    tmp_path: Path,
) -> None:
    unpack("tflite")
    floats = converted("tflite") / "model.tflite"
    given = json.loads((floats.parent / "artifact.json").read_text())["inputs"][0]
    sample = tensor(given["runtime_name"], np.zeros(given["runtime_shape"], np.float32))
    quantizer = environment("ai-edge-quantizer", warm_home / "tools").ensure(lambda phase: None)
    models = {floats: "fp32"}
    for kind, computes in (("int8-weights", "fp32"), ("int8-dynamic", "int8")):
        made = tmp_path / f"{kind}.tflite"
        spec = {"model": str(floats), "out": str(made), "kind": kind}
        foreign.call("quantize_tflite", quantizer, spec, what=kind, cwd=tmp_path, timeout_s=120)
        models[made] = computes
    for client in (connect(), python("tflite")):
        for model, computes in models.items():
            params = {"backend": "tflite", "files": {"model": put(model.read_bytes())}}
            assert client.job("infer", [sample], **params)["runtime"]["compute_dtype"] == computes, model


@pytest.fixture
def int8(converted: Callable[[str], Path], put: Callable[[bytes], str], tmp_path: Path) -> Case:
    """An ncnn model with each layer in int8 that can be."""
    layers = parse_param(converted("ncnn") / "model.param")
    ranges = {layer.name: 6.0 for layer in quantizable(layers)}
    made = write_int8(layers, (converted("ncnn") / "model.bin").read_bytes(), ranges)
    write_param(made.layers, tmp_path / "int8.param")
    files = {"param": put((tmp_path / "int8.param").read_bytes()), "bin": put(made.data)}
    sample = tensor("in0", DRAW.standard_normal((3, 224, 224)).astype(np.float32))
    return Case("ncnn", files, sample, dict(lookup("ncnn", "int8").runtime_flags))


def test_ncnns_int8_is_told_and_a_worker_without_it_refuses(
    unpack: Any, int8: Case, connect: Callable[..., Any], python: Any, said: Any
) -> None:
    unpack("ncnn")  # of the common layers, which have no int8
    told = python("ncnn").job("infer", [int8.input], **int8.params())
    assert told["runtime"]["compute_dtype"] == "int8"
    with pytest.raises(said, match=r"ncnn cannot load the \.param file") as caught:
        connect().job("infer", [int8.input], **int8.params())
    assert "NCNN_INT8" in str(caught.value.detail["log"])


def test_ncnns_int8_is_computed_alike_by_both_agents(
    unpack: Any, int8: Case, connect: Callable[..., Any], python: Any
) -> None:
    try:
        unpack("ncnn", layers="all")
    except native_workers.NotBuiltError as error:
        pytest.skip(str(error))
    found = []
    for client in (connect(), python("ncnn")):
        assert client.job("infer", [int8.input], **int8.params())["runtime"]["compute_dtype"] == "int8"
        found.append(next(iter(arrays(client.tensors()).values())))
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-4 * float(np.abs(found[1]).max()))


def test_a_worker_without_its_library_says_so(
    unpack: Any, case: Any, connect: Callable[..., Any], said: Any
) -> None:
    unpack("onnxruntime", without="libonnxruntime.so.1")
    given = case("onnxruntime")
    with pytest.raises(said, match=r"libonnxruntime\.so\.1 cannot be loaded") as caught:
        connect().job("infer", [given.input], **given.params())
    assert caught.value.code == "backend_missing"


@pytest.mark.parametrize("runtime", ["onnxruntime", "tflite", "mnn"])
def test_a_worker_runs_on_the_c_library_that_it_brings(
    runtime: str, unpack: Any, case: Any, connect: Callable[..., Any], work: Path
) -> None:
    key = unpack(runtime, with_libc=True)
    given, client = case(runtime), connect()
    plan = {"runs": 10**9}
    job = client.start("memory", [given.input], **given.params(plan=plan, site=key))
    client.send("job.wait", job=job)
    client.until_phase("run")
    running = mapped_files(client.process.pid, key)  # this job's, and the one that waits for the next
    assert running
    for mapped in running:
        libraries = {path for path in mapped if ".so" in path or "/files/" in path}
        assert len(libraries) >= 2 and all(str(work) in path for path in libraries), mapped


def mapped_files(core: int, site: str) -> list[set[str]]:
    """What each child of the core that runs from the site has mapped."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            if parent != core or site not in (stat.parent / "cmdline").read_text():
                continue
            lines = (stat.parent / "maps").read_text().splitlines()
        except OSError:
            continue
        found.append(
            {line.split(maxsplit=5)[5] for line in lines if len(line.split(maxsplit=5)) == 6 and "/" in line}
        )
    return found


def test_tflite_computes_without_xnnpack_when_told(
    unpack: Any, case: Any, connect: Callable[..., Any]
) -> None:
    unpack("tflite")
    given, client = case("tflite"), connect()
    outputs = []
    for xnnpack in (True, False):
        told = client.job("infer", [given.input], **given.params(options={"xnnpack": xnnpack}))
        assert told["runtime"]["options"]["xnnpack"] is xnnpack
        outputs.append(arrays(client.tensors()))
    for name, values in outputs[0].items():
        other = outputs[1][name]
        assert not np.array_equal(values, other)  # other kernels: another order of additions
        np.testing.assert_allclose(other, values, rtol=0, atol=1e-4 * float(np.abs(values).max()))


def test_onnxruntime_serves_free_axes_and_whole_numbers(
    unpack: Any, put: Any, connect: Callable[..., Any], said: Any
) -> None:
    import onnx
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [
            helper.make_node("ArgMax", ["x"], ["top"], axis=1, keepdims=0),
            helper.make_node("Cast", ["x"], ["whole"], to=TensorProto.UINT8),
        ],
        "free",
        [helper.make_tensor_value_info("x", TensorProto.INT32, ["batch", 5])],
        [
            helper.make_tensor_value_info("top", TensorProto.INT64, ["batch"]),
            helper.make_tensor_value_info("whole", TensorProto.UINT8, ["batch", 5]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    unpack("onnxruntime")
    params = {"backend": "onnxruntime", "files": {"model": put(model.SerializeToString())}}
    client = connect()
    sets = [DRAW.integers(0, 250, (rows, 5)).astype(np.int32) for rows in (1, 3)]
    client.job("infer", [tensor("x", rows, number) for number, rows in enumerate(sets)], **params)
    found = arrays(client.tensors())
    for number, rows in enumerate(sets):
        np.testing.assert_array_equal(found["top", number], rows.argmax(axis=1))
        np.testing.assert_array_equal(found["whole", number], rows.astype(np.uint8))
        assert found["top", number].dtype == np.int64
    with pytest.raises(said, match=r"input x is int32\['batch', 5\], got int32\[2, 4\]"):
        client.job("infer", [tensor("x", np.zeros((2, 4), np.int32))], **params)


def test_ncnn_computes_every_output_of_every_set(unpack: Any, put: Any, connect: Callable[..., Any]) -> None:
    # Odd sizes: ncnn pads each channel to 16 bytes, which a wrong copy would show.
    image = DRAW.standard_normal((3, 7, 5)).astype(np.float32)
    weight = DRAW.standard_normal((4, 3)).astype(np.float32)
    param = (
        "7767517\n4 5\nInput in0 0 1 in0\nConvolution conv 1 1 in0 y 0=4 1=1 6=12\n"
        "Split split 1 2 y y1 out1\nReLU relu 1 1 y1 out0\n"
    )
    unpack("ncnn")
    client = connect()
    files = {"param": put(param.encode()), "bin": put(bytes(4) + weight.tobytes())}
    sets = [tensor("in0", image, 0), tensor("in0", image * 2, 4)]
    client.job("infer", sets, backend="ncnn", files=files, options=FP32, threads=2)
    found = arrays(client.tensors())
    assert list(found) == [("out0", 0), ("out1", 0), ("out0", 4), ("out1", 4)]
    expected = np.einsum("chw,oc->ohw", image.astype(np.float64), weight)
    np.testing.assert_allclose(found["out1", 0], expected, atol=1e-5)
    np.testing.assert_allclose(found["out0", 0], expected.clip(0), atol=1e-5)
    np.testing.assert_allclose(found["out1", 4], 2 * expected, atol=1e-5)
