"""int8 weights that are not the model's are found in the file, however little the outputs tell of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeflow_converters import pipeline
from edgeflow_converters.base import ConvertRequest, Product
from edgeflow_converters.errors import ConvertError, NumericsDisagree
from edgeflow_converters.stored_weights import require_the_models_weights

pytestmark = pytest.mark.network

Damage = Callable[[bytearray, np.random.Generator], None]
CELLS = [("ncnn", "int8"), ("onnxruntime", "int8"), ("onnxruntime", "int8-dynamic")]
SEEDS = range(6)


def model(folder: Path) -> Path:
    """Convolutions (one of them depthwise) and a product, with biases."""
    random = np.random.default_rng(5)
    shapes: dict[str, Any] = {
        "w0": (24, 8, 3, 3), "b0": (24,), "w1": (24, 1, 3, 3), "b1": (24,), "w2": (64, 24, 1, 1), "b2": (64,),
        "w3": (64, 40), "b3": (40,),
    }  # fmt: skip
    weights = {name: random.normal(size=shape).astype("f4") / 8 for name, shape in shapes.items()}
    nodes = [
        helper.make_node("Conv", ["x", "w0", "b0"], ["a0"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a0"], ["a1"]),
        helper.make_node("Conv", ["a1", "w1", "b1"], ["a2"], pads=[1, 1, 1, 1], group=24),
        helper.make_node("Conv", ["a2", "w2", "b2"], ["a3"]),
        helper.make_node("GlobalAveragePool", ["a3"], ["a4"]),
        helper.make_node("Flatten", ["a4"], ["a5"]),
        helper.make_node("Gemm", ["a5", "w3", "b3"], ["y"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "m",
        [value("x", TensorProto.FLOAT, (1, 8, 12, 12))],
        [value("y", TensorProto.FLOAT, (1, 40))],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(made, folder / "m.onnx")
    return folder / "m.onnx"


class Kept:
    """One real conversion, and the folder that it was verified in."""

    def __init__(self, runtime: str, precision: str, folder: Path, tools_root: Path) -> None:
        self.runtime, self.work = runtime, folder / "work"
        random = np.random.default_rng(6)
        sets = [{"x": random.normal(size=(1, 8, 12, 12)).astype("f4")} for _ in range(4)]
        asked = ConvertRequest(model(folder), runtime, precision, {}, sets, calibration=sets[:3])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pipeline, "require_the_models_weights", self._keep)
            pipeline.convert(asked, folder / "cache", lambda phase: None, tools_root=tools_root)

    def _keep(self, runtime: str, product: Product, out: Path, prepared: Path, work: Path) -> int:
        self.product = product
        shutil.copytree(work, self.work)
        return require_the_models_weights(runtime, product, out, prepared, work)

    @property
    def file(self) -> str:
        return self.product.files.get("bin") or self.product.files["model"]

    def compared(self, folder: Path) -> int:
        prepared = self.work / "prepared.onnx"
        return require_the_models_weights(self.runtime, self.product, folder, prepared, self.work)


@pytest.fixture(scope="module", params=CELLS, ids="-".join)
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tools_root: Path) -> Kept:
    runtime, precision = request.param
    return Kept(runtime, precision, tmp_path_factory.mktemp(runtime), tools_root)


def zeros(data: bytearray, random: np.random.Generator) -> None:
    start = int(random.integers(0, len(data) - len(data) // 50))
    data[start : start + len(data) // 50] = bytes(len(data) // 50)


def shifted(data: bytearray, random: np.random.Generator) -> None:
    start = int(random.integers(0, len(data) * 9 // 10))
    run = slice(start, start + len(data) // 20)
    data[run] = data[start + len(data) // 20 - 1 : run.stop] + data[start : run.stop - 1]


def signs(data: bytearray, random: np.random.Generator) -> None:
    start = int(random.integers(0, len(data) - len(data) // 50))
    for place in range(start, start + len(data) // 50):
        data[place] ^= 0x80


def test_the_intact_product_is_compared_tensor_by_tensor_and_accepted(kept: Kept) -> None:
    assert kept.compared(kept.work / "product") >= 8


@pytest.mark.parametrize("damage", [zeros, shifted, signs])
def test_damaged_weights_are_found_whatever_the_seed(kept: Kept, damage: Damage, tmp_path: Path) -> None:
    intact = (kept.work / "product" / kept.file).read_bytes()
    missed = []
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        shutil.copytree(kept.work / "product", folder)
        data = bytearray(intact)
        _in_the_weights(kept, data, damage, np.random.default_rng(seed))
        (folder / kept.file).write_bytes(data)
        try:
            kept.compared(folder)
        except ConvertError:
            continue
        missed.append(seed)
    assert not missed


def test_one_scale_that_is_wrong_is_found(kept: Kept, tmp_path: Path) -> None:
    if kept.runtime != "onnxruntime":
        pytest.skip("in a .bin the scales lie among what the other tests damage")
    shutil.copytree(kept.work / "product", tmp_path / "broken")
    path = tmp_path / "broken" / kept.file
    broken = onnx.load(path)
    tensor = next(t for t in broken.graph.initializer if t.name == "w2_scale")
    values = numpy_helper.to_array(tensor).copy().reshape(-1)
    values[0] *= 1.2
    tensor.CopyFrom(numpy_helper.from_array(values.reshape(tensor.dims), tensor.name))
    onnx.save(broken, path)
    with pytest.raises(NumericsDisagree, match=r"w2.* differ by more than rounding"):
        kept.compared(tmp_path / "broken")


def _in_the_weights(kept: Kept, data: bytearray, damage: Damage, random: np.random.Generator) -> None:
    """Damages the weights alone: of an ONNX file a tensor's numbers, for what tears the format is no test."""
    if kept.runtime == "ncnn":
        damage(data, random)
        return
    broken = onnx.load_from_string(bytes(data))
    large = [t for t in broken.graph.initializer if t.name.endswith("_quantized") and len(t.raw_data) > 200]
    tensor = large[int(random.integers(0, len(large)))]
    numbers = bytearray(tensor.raw_data)
    damage(numbers, random)
    tensor.raw_data = bytes(numbers)
    data[:] = broken.SerializeToString()
