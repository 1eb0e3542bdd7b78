"""Parts of a model, each converted by the target and compared with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_converters.acceptance import LIMITS, require_expressible
from edgeflow_converters.arrays import load_sets, save_sets
from edgeflow_converters.base import Converter, ConvertRequest
from edgeflow_converters.check import Tolerance, Verdict, compare, tolerance_for
from edgeflow_converters.errors import ConverterFailed, UnsupportedModel
from edgeflow_converters.explain.graph import TensorGraph
from edgeflow_converters.runners import process
from edgeflow_converters.targets.best import strain

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

Sets = Sequence[Mapping[str, "NDArray[Any]"]]


class Bench:
    """Converts and compares; counts its conversions. `request` holds the samples to compare on, and the
    calibration inputs."""

    def __init__(self, request: ConvertRequest, graph: TensorGraph, work: Path) -> None:
        self._request = request
        self._graph = graph
        self._work = work
        self._width = 0
        self.tolerance: Tolerance = request.tolerance or tolerance_for(request.precision)
        self.conversions = 0
        self.verdicts: dict[str, Verdict] = {}

    def measure(self, target: Converter, tensors: Sequence[str]) -> dict[str, float | None]:
        """How much of the tolerance each tensor takes, when the model is cut off behind them; None where the
        target cannot make such a model, or the samples cannot tell. Some may be left out, but not all."""
        wanted = list(tensors)
        if self._width and len(wanted) > self._width:
            middle = (len(wanted) - self._width) // 2
            wanted = wanted[middle : middle + self._width]
        try:
            verdicts = self.verdicts_of(target, self._graph.up_to(wanted), self._request)
        except (ConverterFailed, UnsupportedModel):
            if len(wanted) == 1:
                return {wanted[0]: None}
            self._width = max(1, len(wanted) // 3)
            return self.measure(target, wanted)
        self.verdicts.update(verdicts)
        return {name: _told(verdict) for name, verdict in verdicts.items()}

    def alone(self, target: Converter, node: onnx.NodeProto, precision: str) -> float | None:
        """How much of the tolerance `node` takes by itself, fed with what ONNX Runtime feeds it."""
        part = self._graph.alone(node)
        given = [value.name for value in part.graph.input]
        try:
            request = replace(
                self._request,
                precision=precision,
                runtime=target.name,
                samples=self._values(given, self._request.samples),
                calibration=self._values(given, self._request.calibration),
                tolerance=self.tolerance if precision == self._request.precision else None,
            )
            verdicts = self.verdicts_of(target, part, request)
        except (ConverterFailed, UnsupportedModel):
            return None
        told = [value for value in map(_told, verdicts.values()) if value is not None]
        return max(told) if told else None

    def verdicts_of(
        self, target: Converter, part: onnx.ModelProto, request: ConvertRequest
    ) -> dict[str, Verdict]:
        """Each output of `part`, judged. Raises ConverterFailed, UnsupportedModel."""
        import onnx

        self.conversions += 1
        folder = self._work / f"part-{self.conversions}"
        out = folder / "product"
        out.mkdir(parents=True)
        source = folder / "part.onnx"
        onnx.save(part, source)
        require_expressible(source, request.runtime, {}, prepared=True)
        given = {value.name for value in part.graph.input}
        request = replace(
            request,
            source=source,
            input_shapes={},
            samples=[{name: item[name] for name in given} for item in request.samples],
            calibration=[{name: item[name] for name in given} for item in request.calibration],
            top1_outputs=(),
        )
        expected = self._run(source, request.samples, folder)
        product = target.convert(request, out, lambda phase: None)
        result = folder / "outputs.npz"
        target.run(product, out, folder / "samples.npz", result, folder, request.timeout_s)
        got = load_sets(result)
        tolerance = request.tolerance or tolerance_for(request.precision)
        return {
            name: compare(
                [{name: item[name]} for item in expected],
                [{name: item[name]} if name in item else {} for item in got],
                tolerance,
            )
            for name in expected[0]
        }

    def _values(self, names: Sequence[str], sets: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The named tensors for each input set, by ONNX Runtime."""
        import onnx

        if not sets:
            return []
        inner = [name for name in names if name in self._graph.maker]
        outer = [{name: item[name] for name in names if name in item} for item in sets]
        if not inner:
            return outer
        folder = self._work / f"values-{self.conversions}-{len(sets)}"
        folder.mkdir(exist_ok=True)
        part = self._graph.up_to(inner)
        onnx.save(part, folder / "part.onnx")
        given = {value.name for value in part.graph.input}
        made = self._run(
            folder / "part.onnx", [{name: item[name] for name in given} for item in sets], folder
        )
        return [{**mine, **theirs} for mine, theirs in zip(outer, made, strict=True)]

    def _run(self, source: Path, samples: Sets, folder: Path) -> list[dict[str, NDArray[Any]]]:
        save_sets(folder / "samples.npz", samples)
        spec = {
            "model": str(source),
            "optimise": False,
            "samples": str(folder / "samples.npz"),
            "result": str(folder / "expected.npz"),
        }
        what = "ONNX Runtime, running a part of the model,"
        process.call("onnxruntime", spec, what=what, cwd=folder, timeout_s=self._request.timeout_s)
        return load_sets(folder / "expected.npz")

    def looks_at(self, runtime: str) -> list[str]:
        """The tensors that can be made outputs for a runtime."""
        limits = LIMITS.get(runtime)
        return self._graph.comparable(None if limits is None else limits.ports)


def _told(verdict: Verdict) -> float | None:
    """What a verdict takes of its tolerance; None if it could not tell right from wrong."""
    found = strain(verdict) if verdict.outputs else float("inf")
    blind = bool(verdict.outputs) and all(output.suspect for output in verdict.outputs.values())
    return None if blind and found <= 1.0 else found
