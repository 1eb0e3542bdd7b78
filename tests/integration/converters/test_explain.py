"""explain() names the node at which a fault was planted, and the node that a real converter gets wrong.

All twenty seeded cases on three runtimes are benchmarks/explain_cases.py: minutes, and so not here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeflow_converters.base import ConvertRequest
from edgeflow_converters.explain import Explanation, explain
from edgeflow_converters.targets import get_target
from edgeflow_converters.targets.ncnn import NcnnConverter
from planted_faults import Fault, FaultyConverter

pytestmark = pytest.mark.network

RequestFor = Callable[..., ConvertRequest]


def explained(request: ConvertRequest, fault: Fault | None, cache: Path, tools: Path) -> Explanation | None:
    target = get_target(request.runtime, tools)
    faulty = target if fault is None else FaultyConverter(target, fault)
    # Two samples tell as much here, and the whole model is converted in a moment.
    few = replace(request, samples=request.samples[:2])
    return explain(few, cache, lambda phase: None, tools_root=tools, target=faulty)


@pytest.mark.parametrize(
    ("runtime", "tensor", "what"),
    [
        ("onnxruntime", "p_re_lu_7/add:0", "PRelu as Add"),
        ("ncnn", "convolution_output2", "signs of weights"),
        ("mnn", "biased_tensor_name2", "weights scaled"),
    ],
)
def test_a_planted_fault_is_named(
    runtime: str, tensor: str, what: str, request_for: RequestFor, cache_root: Path, tools_root: Path
) -> None:
    request = request_for("mtcnn-onet", runtime, "fp32")
    said = explained(request, Fault(tensor, "", what, 3), cache_root, tools_root)
    assert said is not None
    assert (said.tensor, said.kind, list(said.others)) == (tensor, "node", [])
    assert said.strain > 1 > said.before and said.alone is not None and said.alone > 1


def test_a_sound_product_needs_no_explanation(
    request_for: RequestFor, cache_root: Path, tools_root: Path
) -> None:
    request = request_for("mtcnn-onet", "onnxruntime", "fp32")
    assert explained(request, None, cache_root, tools_root) is None


def pooled() -> onnx.ModelProto:
    """A pooling that ncnn gets wrong: its padding counts, and its last window hangs over the edge."""
    random = np.random.default_rng(0)
    node = helper.make_node
    pool = node(
        "AveragePool", ["b"], ["c"], name="pool",
        kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, ceil_mode=1, count_include_pad=1,
    )  # fmt: skip
    entry = pool.metadata_props.add()
    entry.key = "pkg.torch.onnx.stack_trace"
    entry.value = 'File "net.py", line 9, in forward\n  File "net.py", line 27, in pool\n    return f(x)\n'
    graph = helper.make_graph(
        [node("Conv", ["x", "w"], ["a"]), node("Relu", ["a"], ["b"]), pool, node("Conv", ["c", "v"], ["y"])],
        "pooled",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 17, 17])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 9, 9])],
        [
            numpy_helper.from_array(random.normal(size=shape).astype("f4"), name)
            for name, shape in (("w", (4, 3, 2, 2)), ("v", (4, 4, 1, 1)))
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_what_a_real_converter_gets_wrong_is_named_with_its_line_and_a_way_out(
    tmp_path: Path, tools_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [name for name in NcnnConverter.rewrites if name != "average_pool_of_padded"]  # which cures it
    monkeypatch.setattr(NcnnConverter, "rewrites", tuple(kept))
    path = tmp_path / "pooled.onnx"
    onnx.save(pooled(), path)
    random = np.random.default_rng(1)
    samples = [{"x": random.normal(size=(1, 3, 17, 17)).astype("f4")} for _ in range(2)]
    said = explained(ConvertRequest(path, "ncnn", "fp32", {}, samples), None, tmp_path / "cache", tools_root)
    assert said is not None
    assert (said.node, said.op, said.kind) == ("pool", "AveragePool", "node")
    assert said.source == "net.py:27, in pool: return f(x)"
    assert said.before < 0.01 and "onnxruntime" in said.ways_out[0]
