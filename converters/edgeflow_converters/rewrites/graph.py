"""What several rewrites need: who makes a value, who reads it, what it holds, which shape it has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray


class GraphView:
    """A model's graph indexed by value name. Built once per pass; edits go through it or rebuild it."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.graph = model.graph
        self.producer = {name: node for node in self.graph.node for name in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.outputs = {value.name for value in self.graph.output}
        self._initializers = {tensor.name: tensor for tensor in self.graph.initializer}
        self._taken = {*self.producer, *self._initializers, *(value.name for value in self.graph.input)}

    def constant(self, name: str) -> NDArray[Any] | None:
        """The value of an initializer; None for anything that is computed."""
        from onnx import numpy_helper

        tensor = self._initializers.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    @cached_property
    def types(self) -> dict[str, onnx.TypeProto.Tensor]:
        """inferred_types of the model as it was when first asked."""
        return inferred_types(self.model)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """inferred_shapes of the model as it was when first asked, and those of its initializers."""
        weights = {name: tuple(tensor.dims) for name, tensor in self._initializers.items()}
        return inferred_shapes(self.model) | weights

    def is_float32(self, name: str) -> bool:
        """Whether the value is known to be of float32."""
        import onnx

        constant = self._initializers.get(name)
        known = self.types.get(name)
        kind = constant.data_type if constant is not None else known.elem_type if known is not None else 0
        return bool(kind == onnx.TensorProto.FLOAT)

    def fresh(self, stem: str) -> str:
        """A value name that the graph does not have yet."""
        number = 0
        while (name := f"{stem}_{number}") in self._taken:
            number += 1
        self._taken.add(name)
        return name

    def add_constant(self, stem: str, array: NDArray[Any]) -> str:
        """Store `array` as an initializer and return its name."""
        name = self.fresh(stem)
        self.keep_constant(name, array)
        return name

    def keep_constant(self, name: str, array: NDArray[Any]) -> None:
        """Store `array` as the initializer `name`, which the graph does not have yet."""
        from onnx import numpy_helper

        self.graph.initializer.append(numpy_helper.from_array(array, name))
        self._initializers[name] = self.graph.initializer[-1]
        self._taken.add(name)

    def replace(self, old: Iterable[onnx.NodeProto], new: Iterable[onnx.NodeProto]) -> None:
        """Put `new` where the first of `old` stood. The caller keeps the order topological."""
        drop = {id(node) for node in old}
        nodes: list[onnx.NodeProto] = []
        pending = list(new)
        for node in self.graph.node:
            if id(node) in drop:
                nodes.extend(pending)
                pending = []
            else:
                nodes.append(node)
        copies = [_copy(node) for node in nodes]
        del self.graph.node[:]
        self.graph.node.extend(copies)


Rule = Callable[[GraphView, "onnx.NodeProto"], "Sequence[onnx.NodeProto] | None"]


def node_by_node(model: onnx.ModelProto, rule: Rule) -> onnx.ModelProto:
    """The model with each node of the main graph replaced by what `rule` makes of it; None leaves it as it
    is."""
    view = GraphView(model)
    made = []
    for node in view.graph.node:
        written = rule(view, node)
        made += [node] if written is None else list(written)
    copies = [_copy(node) for node in made]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    return model


_AXES_AS_INPUT = 18
"""The opset since which ReduceMean takes its axes as an input."""


def mean_over(
    view: GraphView, value: str, axes: Sequence[int], out: str, opset: int, *, keepdims: int = 1
) -> onnx.NodeProto:
    """A ReduceMean in the form of `opset`."""
    import numpy as np
    import onnx

    if opset < _AXES_AS_INPUT:
        return onnx.helper.make_node("ReduceMean", [value], [out], axes=list(axes), keepdims=keepdims)
    given = view.add_constant("axes", np.array(axes))
    return onnx.helper.make_node("ReduceMean", [value, given], [out], keepdims=keepdims)


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """The node's attributes by name, as Python values."""
    import onnx

    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def inferred_types(model: onnx.ModelProto) -> dict[str, onnx.TypeProto.Tensor]:
    """Tensor types (element type and shape) of all values that ONNX's shape inference can tell."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(model).graph
    return {v.name: v.type.tensor_type for v in (*graph.input, *graph.value_info, *graph.output)}


def inferred_shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Shapes of the values whose every axis inference can tell."""
    shapes = {}
    for name, tensor in inferred_types(model).items():
        dims = tensor.shape.dim
        if tensor.HasField("shape") and all(dim.WhichOneof("value") == "dim_value" for dim in dims):
            shapes[name] = tuple(dim.dim_value for dim in dims)
    return shapes


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    import onnx

    copied = onnx.NodeProto()
    copied.CopyFrom(node)
    return copied
