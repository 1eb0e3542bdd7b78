"""TensorFlow Lite: a .tflite of floats (half-precision weights too) as ONNX, judged by LiteRT.

Read here, without TensorFlow. Custom operators, quantized models and unknown operators are declined by
name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_converters.arrays import load_sets, save_sets
from edgeflow_converters.errors import ToolMissing, UnsupportedModel
from edgeflow_converters.runners import process
from edgeflow_converters.sources.base import Asked, Candidate, Source
from edgeflow_converters.sources.files import present
from edgeflow_converters.sources.tflite_graph import Graph, read_graph
from edgeflow_converters.sources.tflite_ops import Translation
from edgeflow_converters.tensors import TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeflow_converters.base import ProgressFn
    from edgeflow_converters.tensors import Tensors


class TfliteImporter:
    """A reader of our own; answers with LiteRT."""

    def files(self, source: Source) -> Sequence[Path]:
        return (present(source.path),)

    def tools(self) -> Mapping[str, str]:
        return {"ai-edge-litert": _litert_version()}

    def to_onnx(self, source: Source, asked: Asked, out: Path, progress: ProgressFn) -> Sequence[Candidate]:
        graph = read_graph(source.path)
        to_onnx(graph, source.name, out / "model.onnx")
        return [Candidate("edgeflow's reader of TensorFlow Lite", out / "model.onnx")]

    def outputs(
        self, source: Source, asked: Asked, samples: Sequence[Tensors], work: Path, progress: ProgressFn
    ) -> list[dict[str, NDArray[Any]]]:
        graph = read_graph(source.path)
        save_sets(work / "own-samples.npz", samples)
        spec = {
            "model": str(source.path.resolve()),
            "xnnpack": True,
            "inputs": [_spec(graph, index).to_json() for index in graph.inputs],
            "outputs": [_spec(graph, index).to_json() for index in graph.outputs],
            "samples": str(work / "own-samples.npz"),
            "result": str(work / "own.npz"),
        }
        what = f"LiteRT, running {source.name},"
        process.call("tflite", spec, what=what, cwd=work, timeout_s=asked.timeout_s)
        return load_sets(work / "own.npz")


def _litert_version() -> str:
    try:
        return version("ai-edge-litert")
    except PackageNotFoundError:
        raise ToolMissing(
            "a TensorFlow Lite model is judged by LiteRT, which is not installed",
            hint="python -m pip install ai-edge-litert",
        ) from None


def to_onnx(graph: Graph, name: str, out: Path) -> None:
    """Write `graph` as ONNX, with its own names and layout. Raises UnsupportedModel naming the operator."""
    translation = Translation(graph, name)
    translation.run()
    ports: dict[str, tuple[str, tuple[int, ...]]] = {}
    for index in graph.outputs:
        tensor = graph.tensors[index]
        translation.onnx.node("Identity", [translation.last(index)], f"{tensor.name}")
        ports[tensor.name] = (tensor.dtype, tensor.shape)
    inputs = {graph.tensors[i].name: (graph.tensors[i].dtype, graph.tensors[i].shape) for i in graph.inputs}
    if set(inputs) & set(ports) or len(ports) != len(graph.outputs):
        raise UnsupportedModel(f"{name}: its inputs and outputs share names")
    translation.onnx.save(out, inputs, ports)


def _spec(graph: Graph, index: int) -> TensorSpec:
    tensor = graph.tensors[index]
    return TensorSpec(tensor.name, tensor.dtype, tensor.shape, tensor.name, tensor.shape)
