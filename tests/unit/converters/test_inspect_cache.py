"""A model's facts are remembered by content, never by name."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from edgeflow_converters.cache import Cache
from edgeflow_converters.inspect import inspect_model
from edgeflow_converters.inspect_cache import inspect_cached


def save(path: Path, size: int | str) -> None:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size, "h"]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [values[0]], [values[1]])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    model.metadata_props.add(key="who", value="we")
    onnx.save(model, path)


def test_the_second_look_says_the_same(tmp_path: Path) -> None:
    save(tmp_path / "m.onnx", 3)
    cache = Cache(tmp_path / "cache")
    first, second = (inspect_cached(tmp_path / "m.onnx", cache) for _ in range(2))
    assert first == second == inspect_model(tmp_path / "m.onnx")


def test_another_content_under_the_same_name_is_seen(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    save(tmp_path / "m.onnx", 3)
    inspect_cached(tmp_path / "m.onnx", cache)
    save(tmp_path / "m.onnx", 5)
    assert inspect_cached(tmp_path / "m.onnx", cache).inputs[0].shape == (1, 5, "h")


def test_another_name_of_the_same_content_keeps_its_own_path(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    for name in ("a.onnx", "b.onnx"):
        save(tmp_path / name, 3)
        assert inspect_cached(tmp_path / name, cache).path == tmp_path / name
