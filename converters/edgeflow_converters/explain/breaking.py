"""Which node a tool breaks on: crashes, gives up without a word, or writes what its runtime cannot load or
run.

The prepared model is cut off behind one of its tensors and converted; the first such tensor that still breaks
the tool is looked for by halves.
"""

from __future__ import annotations

from pathlib import Path

from edgeflow_converters.base import Converter, ConvertRequest
from edgeflow_converters.errors import ConverterFailed, ConvertError
from edgeflow_converters.explain.bench import Bench
from edgeflow_converters.explain.graph import TensorGraph
from edgeflow_converters.explain.run import tensors_of
from edgeflow_converters.inspect import node_label


def breaking_node(request: ConvertRequest, target: Converter, work: Path) -> str:
    """The node (`Conv node 'x'`) that `target` breaks on when it converts or runs the prepared model of
    `request`; "" if no part of it does. `work` is an empty folder for scratch."""
    work.mkdir()
    graph = tensors_of(request, request.source, work)
    bench = Bench(request, graph, work / "parts")
    ends = [name for name in graph.outputs if name in graph.maker]
    if not graph.order:  # nothing depends on an input
        return node_label(graph.model.graph.node[0])
    if len(graph.order) == 1:
        return node_label(graph.maker[graph.order[0]])
    bad = next((name for name in ends if _breaks(bench, graph, name, request, target)), None)
    if bad is None:
        return ""
    comparable = set(bench.looks_at(request.runtime))
    order = [name for name in graph.order[: graph.order.index(bad)] if name in comparable]
    low, high = 0, len(order)
    order.append(bad)
    while low < high:
        middle = (low + high) // 2
        if _breaks(bench, graph, order[middle], request, target):
            high = middle
        else:
            low = middle + 1
    return node_label(graph.maker[order[low]])


def _breaks(
    bench: Bench, graph: TensorGraph, tensor: str, request: ConvertRequest, target: Converter
) -> bool:
    try:
        bench.verdicts_of(target, graph.up_to([tensor]), request)
    except ConverterFailed:
        return True
    except ConvertError:
        return False
    return False
