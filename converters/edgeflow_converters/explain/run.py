"""explain(): from a request whose product the gate refused to the node that is to blame.

The model is cut off behind some of its tensors, the part is converted as the whole was, and those tensors are
compared with ONNX Runtime's; search.py says where to cut next. So no runtime has to show its inner tensors,
and the tool is asked for what it was asked before. Then the node that was found is converted by itself, with
the values that ONNX Runtime gives it: it is wrong alone, or only where it stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_converters import precision as precisions
from edgeflow_converters.arrays import save_sets
from edgeflow_converters.base import Converter, ConvertRequest, ProgressFn
from edgeflow_converters.cache import Cache
from edgeflow_converters.check import Verdict
from edgeflow_converters.errors import ConverterFailed, UnsupportedModel
from edgeflow_converters.explain import explanation as kinds
from edgeflow_converters.explain.bench import Bench
from edgeflow_converters.explain.explanation import Explanation, Point
from edgeflow_converters.explain.graph import TensorGraph, source_lines
from edgeflow_converters.explain.search import Found, first_disagreeing
from edgeflow_converters.inspect_cache import inspect_cached
from edgeflow_converters.prepare import wanted_by
from edgeflow_converters.reference import reference_outputs
from edgeflow_converters.runners import process
from edgeflow_converters.shapes import pinned_shapes
from edgeflow_converters.targets import get_target
from edgeflow_converters.targets.best import strain

if TYPE_CHECKING:
    import onnx

_SOUND, _DOUBTFUL = 0.1, 0.5
"""Shares of the tolerance: sound fp32 takes less than the first nearly everywhere, and never the second."""
_SAMPLES = 2
_LEAP = 5.0  # times what its node was given: from there on, the node adds to it and does not pass it on
_ENOUGH = 2
_OTHERS = ("onnxruntime", "openvino", "mnn", "ncnn")


def explain(
    request: ConvertRequest,
    cache_root: Path,
    progress: ProgressFn,
    *,
    tools_root: Path | None = None,
    target: Converter | None = None,
) -> Explanation | None:
    """Where the product of `request` first disagrees with the model; None if it agrees.

    `target` stands in for the runtime's own converter. Raises as pipeline.convert does where no product can
    be made at all.
    """
    tools = tools_root or cache_root / "tools"
    target = target or get_target(request.runtime, tools)
    cache = Cache(cache_root)
    info = inspect_cached(request.source, cache)
    shapes = pinned_shapes(info.inputs, request.input_shapes)
    target.requires(request, info)
    progress("reference")
    reference = reference_outputs(
        request.source, info.sha256, request.samples, cache, timeout_s=request.timeout_s
    )
    with cache.workspace() as work:
        graph = tensors_of(request, _prepared(request, shapes, reference, target, work, progress), work)
        bench = Bench(request, graph, work)
        progress("explain: the whole model")
        whole = bench.verdicts_of(target, graph.up_to(graph.outputs), request)
        wrong = {name: verdict for name, verdict in whole.items() if _wrong(verdict)}
        if not wrong:
            return None
        chosen = _telling_samples(request.samples, list(wrong.values()))
        return _Case(replace(request, samples=chosen), graph, target, tools, work, progress).explained(wrong)


def prepared_model(request: ConvertRequest, target: Converter, cache_root: Path) -> onnx.ModelProto:
    """What `target` is given when it converts `request`."""
    import onnx

    cache = Cache(cache_root)
    info = inspect_cached(request.source, cache)
    shapes = pinned_shapes(info.inputs, request.input_shapes)
    reference = reference_outputs(
        request.source, info.sha256, request.samples, cache, timeout_s=request.timeout_s
    )
    with cache.workspace() as work:
        return onnx.load(_prepared(request, shapes, reference, target, work, lambda phase: None))


def wrong_above(precision: str, strain: float) -> float:
    """Which share of the tolerance counts as wrong inside a model whose output takes `strain` of it.

    In fp32 a part of it, so that an error is seen where it begins; more of it where the output is far off, as
    some sound layers come near (a fully connected one of MNN takes 0.2). Other precisions have the whole.
    """
    return 1.0 if precision != "fp32" else min(_DOUBTFUL, max(_SOUND, strain / 10))


def _wrong(verdict: Verdict) -> bool:
    return not verdict.passed and not verdict.blind


def _prepared(
    request: ConvertRequest,
    shapes: Mapping[str, tuple[int, ...]],
    reference: Sequence[Mapping[str, Any]],
    target: Converter,
    work: Path,
    progress: ProgressFn,
) -> Path:
    """The model as the target is given it."""
    progress("prepare")
    save_sets(work / "samples.npz", request.samples)
    save_sets(work / "reference.npz", reference)
    prepared = work / "prepared.onnx"
    spec = {
        "source": str(request.source.resolve()),
        "out": str(prepared),
        "shapes": shapes,
        "samples": str(work / "samples.npz"),
        "reference": str(work / "reference.npz"),
        "simplify": True,
        **wanted_by(request.runtime, target.rewrites),
    }
    what = f"preparing {request.source.name}"
    process.call("prepare", spec, what=what, cwd=work, timeout_s=request.timeout_s)
    return prepared


def tensors_of(request: ConvertRequest, prepared: Path, work: Path) -> TensorGraph:
    """The prepared model as a graph, with the facts of its tensors on the first sample."""
    import onnx

    save_sets(work / "one.npz", request.samples[:1])
    facts = process.call(
        "tensor_facts",
        {"model": str(prepared), "samples": str(work / "one.npz")},
        what="looking up the model's tensors",
        cwd=work,
        timeout_s=request.timeout_s,
    )
    return TensorGraph(onnx.load(prepared), facts["tensors"])


def _telling_samples(
    samples: Sequence[Mapping[str, Any]], verdicts: Sequence[Verdict]
) -> Sequence[Mapping[str, Any]]:
    """The sample with the worst element, and another one."""
    worst = 0
    for verdict in verdicts:
        for output in verdict.outputs.values():
            worst = output.worst.sample if output.worst is not None else worst
    rest = [index for index in range(len(samples)) if index != worst]
    return [samples[index] for index in (worst, *rest)][:_SAMPLES]


class _Case:
    """One product that disagrees."""

    def __init__(
        self,
        request: ConvertRequest,
        graph: TensorGraph,
        target: Converter,
        tools: Path,
        work: Path,
        progress: ProgressFn,
    ) -> None:
        self._request = request
        self._graph = graph
        self._target = target
        self._tools = tools
        self._progress = progress
        self._bench = Bench(request, graph, work / "parts")
        self._limit = 1.0

    def explained(self, wrong: Mapping[str, Verdict]) -> Explanation:
        order = self._graph.order
        first = min(wrong, key=lambda name: order.index(name) if name in order else len(order))
        verdict = wrong[first]
        value = strain(verdict) if verdict.outputs else float("inf")
        self._limit = wrong_above(self._request.precision, value)
        found = self._search(first, value)
        node = self._graph.maker[found.tensor]
        self._progress(f"explain: {node.op_type} by itself")
        alone = self._bench.alone(self._target, node, self._request.precision)
        before = max((found.strains.get(name, 0.0) for name in self._graph.reads[found.tensor]), default=0.0)
        kind = self._kind(found, before, alone)
        return Explanation(
            runtime=self._request.runtime,
            precision=self._request.precision,
            reason=f"{verdict.reasons[0]}",
            kind=kind,
            tensor=found.tensor,
            node=node.name or found.tensor,
            op=node.op_type,
            source=self._source(node),
            strain=found.strains[found.tensor],
            before=before,
            alone=alone,
            figures=_figures(self._bench.verdicts.get(found.tensor, verdict)),
            others=[self._graph.maker[name].name or name for name in found.others],
            curve=[
                Point(name, self._graph.maker[name].name or name, self._graph.maker[name].op_type, value)
                for name, value in found.strains.items()
            ],
            ways_out=self._ways_out(node, kind),
            conversions=self._bench.conversions,
        )

    def _search(self, bad: str, value: float) -> Found:
        allowed = set(self._bench.looks_at(self._request.runtime))
        order = [name for name in self._graph.order if name in allowed or name == bad]

        def measure(tensors: Sequence[str]) -> dict[str, float | None]:
            self._progress(f"explain: {len(tensors)} tensors of {len(order)}")
            return self._bench.measure(self._target, tensors)

        return first_disagreeing(order, self._graph.reads, bad, value, measure, limit=self._limit)

    def _kind(self, found: Found, before: float, alone: float | None) -> str:
        if alone is None:
            return kinds.UNCLEAR
        if alone > self._limit:
            return kinds.NODE
        leaps = found.strains[found.tensor] > _LEAP * max(before, self._limit / _LEAP)
        return kinds.COMPANY if leaps else kinds.ACCUMULATES

    def _source(self, node: onnx.NodeProto) -> str:
        import onnx

        source = onnx.load_model(self._request.source, format="protobuf", load_external_data=False)
        return source_lines(source, node)

    def _ways_out(self, node: onnx.NodeProto, kind: str) -> list[str]:
        """What was tried and agrees on this node, as things to do."""
        ways = []
        mine = self._request.runtime
        if self._request.precision != "fp32" and (mine, "fp32") in precisions.OFFERED:
            self._progress(f"explain: {node.op_type} in fp32")
            value = self._bench.alone(self._target, node, "fp32")
            if value is not None and value <= 1.0:
                ways.append(f"--precision fp32: {mine} computes this node right in it")
        if kind == kinds.ACCUMULATES:
            return ways or ["--precision fp32"]
        agreeing: list[str] = []
        for name in _OTHERS:
            if name != mine and len(agreeing) < _ENOUGH and self._agrees(name, node):
                agreeing.append(name)
        if agreeing:
            ways.append(f"--runtime {' or '.join(agreeing)}: computes this node right")
        ways.append("write the node differently in the model's code, and export it again")
        return ways

    def _agrees(self, runtime: str, node: onnx.NodeProto) -> bool:
        if (runtime, self._request.precision) not in precisions.OFFERED:
            return False
        other = get_target(runtime, self._tools)
        status = other.doctor()
        if not status.ready or status.on_demand:
            return False
        self._progress(f"explain: {node.op_type} by {runtime}")
        try:
            value = self._bench.alone(other, node, self._request.precision)
        except (ConverterFailed, UnsupportedModel):
            return False
        return value is not None and value <= self._limit


def _figures(verdict: Verdict) -> dict[str, float]:
    output = next(iter(verdict.outputs.values()), None)
    if output is None:
        return {}
    return {"cosine": output.cosine_min, "rel_err": output.rel_err_max, "channel_err": output.channel_err_max}
