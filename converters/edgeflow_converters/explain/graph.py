"""A prepared model as a graph of tensors, and the parts that can be cut out of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx

_STACK = "pkg.torch.onnx.stack_trace"
"""Where PyTorch's exporter leaves the lines of the model's code that a node comes from."""

Facts = Mapping[str, Mapping[str, Any]]
"""Tensor -> dtype, shape, as runners/tensor_facts.py tells them."""


class TensorGraph:
    """The tensors of a model that depend on its inputs, in the order in which they are computed."""

    def __init__(self, model: onnx.ModelProto, facts: Facts) -> None:
        self.model = model
        self._facts = facts
        self.inputs = [value.name for value in model.graph.input]
        self.outputs = [value.name for value in model.graph.output]
        self._weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self.maker: dict[str, onnx.NodeProto] = {}
        self.reads: dict[str, list[str]] = {}
        live = set(self.inputs)
        for node in model.graph.node:
            used = [name for name in _inputs(node) if name in live]
            if not used:
                continue
            for name in filter(None, node.output):
                live.add(name)
                self.maker[name], self.reads[name] = node, used
        self.order = list(self.maker)

    def comparable(self, dtypes: Collection[str] | None) -> list[str]:
        """Tensors whose values can be looked at as outputs of one of `dtypes`, None for any number."""
        floats = ("float32", "float16", "float64")
        return [
            name
            for name in self.order
            if name in self._facts
            and 0 not in self._facts[name]["shape"]
            and self._facts[name]["dtype"] in (floats if dtypes is None else dtypes)
            and self._facts[name]["dtype"] in floats
        ]

    def up_to(self, tensors: Iterable[str]) -> onnx.ModelProto:
        """The model with `tensors` as its outputs, and nothing that they do not need."""
        wanted = list(tensors)
        needed = set(wanted)
        nodes = []
        for node in reversed(self.model.graph.node):
            if needed & set(node.output):
                nodes.append(node)
                needed.update(_inputs(node))
        return self._part(list(reversed(nodes)), [n for n in self.inputs if n in needed], wanted, needed)

    def alone(self, node: onnx.NodeProto) -> onnx.ModelProto:
        """A model of one node: what it computes with, but weights, is an input."""
        needed = set(_inputs(node))
        nodes = [
            other
            for other in self.model.graph.node  # what depends on no input comes along
            if any(name in needed for name in other.output) and not set(other.output) & set(self.maker)
        ]
        given = [name for name in dict.fromkeys(_inputs(node)) if name in self.maker or name in self.inputs]
        for other in nodes:
            needed.update(_inputs(other))
        outputs = [name for name in node.output if name in self._facts]
        return self._part([*nodes, node], given, outputs, needed)

    def _part(
        self, nodes: list[onnx.NodeProto], inputs: list[str], outputs: list[str], needed: set[str]
    ) -> onnx.ModelProto:
        import onnx

        part = onnx.ModelProto()
        part.CopyFrom(self.model)
        graph = part.graph
        for field in ("node", "input", "output", "initializer", "value_info", "sparse_initializer"):
            graph.ClearField(field)
        graph.node.extend(nodes)
        graph.input.extend(self._port(name) for name in inputs)
        graph.output.extend(self._port(name) for name in outputs)
        graph.initializer.extend(tensor for name, tensor in self._weights.items() if name in needed)
        return part

    def _port(self, name: str) -> onnx.ValueInfoProto:
        import numpy as np
        import onnx

        facts = self._facts[name]
        kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(facts["dtype"]))
        return onnx.helper.make_tensor_value_info(name, kind, facts["shape"])


def _inputs(node: onnx.NodeProto) -> list[str]:
    """What a node reads, through the graphs nested in it too."""
    from edgeflow_converters.inspect import all_nodes

    names = [name for name in node.input if name]
    for attribute in node.attribute:
        if attribute.HasField("g"):
            made = {name for inner in all_nodes(attribute.g) for name in inner.output}
            made |= {value.name for value in attribute.g.input}
            names += [n for inner in all_nodes(attribute.g) for n in inner.input if n and n not in made]
            names += [value.name for value in attribute.g.output if value.name not in made]
    return names


def source_lines(source: onnx.ModelProto, node: onnx.NodeProto) -> str:
    """Where in the model's code a node comes from, as its exporter left it: `file.py:12, in forward`; "" if
    it left nothing. The node is found in `source`, the model as exported, by its outputs or its name."""
    outputs = set(node.output)
    named = [node, *source.graph.node]
    for other in named:
        if other is node or outputs & set(other.output) or (node.name and other.name == node.name):
            for entry in other.metadata_props:
                if entry.key == _STACK:
                    return _last_frame(entry.value)
    return ""


def _last_frame(stack: str) -> str:
    """The innermost line of a Python stack, on one line, with its code."""
    import re

    frames = re.findall(r'File "([^"]+)", line (\d+), in (\S+)(?:\n[ \t]*(?![ \t]|File )([^\n]+))?', stack)
    if not frames:
        return " ".join(stack.split())[-200:]
    file, line, function, code = frames[-1]
    return f"{file}:{line}, in {function}" + (f": {code.strip()}" if code else "")
