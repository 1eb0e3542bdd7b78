"""Local devices side by side, and a model so small that only the sweep itself takes time."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from conftest import Edgeflow, run_edgeflow


def tiny_model(path: Path, scale: float = 2.0) -> Path:
    """y = relu(scale * x) over eight numbers."""
    node = helper.make_node("Mul", ["x", "k"], ["z"])
    relu = helper.make_node("Relu", ["z"], ["y"])
    shape = [1, 8]
    graph = helper.make_graph(
        [node, relu], "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [helper.make_tensor("k", TensorProto.FLOAT, [1], [scale])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, path)
    return path


@dataclass(frozen=True)
class Bench:
    """A folder with a home, two tiny models and three local devices, and the command line in it."""

    folder: Path
    home: Path

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def edgeflow(self, *words: object, **options: Any) -> Any:
        return run_edgeflow(self.home, self.folder, *words, **options)


@pytest.fixture
def bench(tmp_path: Path, home: Path) -> Bench:
    folder = tmp_path / "fleet"
    folder.mkdir()
    tiny_model(folder / "one.onnx", 2.0)
    tiny_model(folder / "two.onnx", 3.0)
    devices = "\n".join(
        f"  {name}: {{transport: local, work_dir: {tmp_path}/work-{name}, tags: [rack]}}" for name in "abc"
    )
    (folder / "devices.yaml").write_text(f"devices:\n{devices}\n")
    return Bench(folder, home)


__all__ = ["Bench", "Callable", "Edgeflow", "shutil", "tiny_model"]
