"""Arithmetic of two tensors, one of which may be repeated along axes (broadcasting)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeflow_converters.paddle.graph import Graph, Node, Write

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KINDS = {
    "Add": "elementwise_add", "Mul": "elementwise_mul", "Sub": "elementwise_sub", "Div": "elementwise_div",
    "Max": "elementwise_max", "Min": "elementwise_min", "Sum": "elementwise_add", "Equal": "equal",
}  # fmt: skip
_EITHER_WAY = ("Add", "Mul", "Max", "Min", "Sum", "Equal")


def arithmetic(graph: Graph, node: Node) -> None:
    if len(node.inputs) == 1:
        graph.one_to_one(node, "assign")
        return
    if _scaled(graph, node):
        return
    result = graph.shape(node, node.outputs[0])
    current, shape = _tensor(graph, node, 0, result)
    for place in range(1, len(node.inputs)):
        other, its_shape = _tensor(graph, node, place, result)
        last = place == len(node.inputs) - 1
        if node.kind in _EITHER_WAY and shape != result and its_shape == result:
            current, other, shape, its_shape = other, current, its_shape, shape
        if shape != result:
            current, shape = _repeated(graph, current, shape, result), result
        if its_shape != result and len(its_shape) < len(result):
            its_shape = (1,) * (len(result) - len(its_shape)) + its_shape
            other = graph.reshaped(other, its_shape)
        made = graph.write(node) if last else graph.temporary(result)
        more = {"force_cpu": False} if node.kind == "Equal" else {}
        graph.program.operation(
            _KINDS[node.kind], {"X": [current], "Y": [other]}, {"Out": [made]}, axis=-1, **more
        )
        current, shape = made, result


def power(graph: Graph, node: Node) -> None:
    """Only the powers that are other operations too: `pow` of x86 computes rubbish for a negative base."""
    exponent = graph.constant(node, 1)
    value = float(exponent.reshape(-1)[0]) if exponent.size == 1 else 0.0
    source = graph.read(node, 0)
    write = graph.program.operation
    if value == 2.0:
        write("elementwise_mul", {"X": [source], "Y": [source]}, {"Out": [graph.write(node)]}, axis=-1)
    elif value == 0.5:
        write("sqrt", {"X": [source]}, {"Out": [graph.write(node)]})
    elif value == 3.0:
        squared = graph.temporary(graph.shape(node, node.inputs[0]))
        write("elementwise_mul", {"X": [source], "Y": [source]}, {"Out": [squared]}, axis=-1)
        write("elementwise_mul", {"X": [squared], "Y": [source]}, {"Out": [graph.write(node)]}, axis=-1)
    else:
        raise node.declined("Paddle Lite's powers other than 2, 3 and 0.5 are wrong for negative numbers")


def _scaled(graph: Graph, node: Node) -> bool:
    """Writes arithmetic with one number as `scale`, where it is that."""
    if len(node.inputs) != 2 or node.kind not in ("Add", "Mul", "Sub", "Div"):
        return False
    constant = next((place for place in (1, 0) if graph.is_constant(node, place)), None)
    if constant is None or graph.constants[node.inputs[constant]].size != 1:
        return False
    other = node.inputs[1 - constant]
    if graph.dtypes.get(other) != "float32" or graph.shape(node, other) != graph.shape(node, node.outputs[0]):
        return False
    number = float(graph.constants[node.inputs[constant]].reshape(()))
    if node.kind == "Div" and (constant == 0 or number == 0.0):
        return False
    turned = node.kind == "Sub" and constant == 0
    factor = {"Mul": number, "Div": 1.0 / number if number else 0.0}.get(node.kind, -1.0 if turned else 1.0)
    shift = {"Add": number, "Sub": number if turned else -number}.get(node.kind, 0.0)
    graph.program.operation(
        "scale",
        {"X": [graph.names[other]]},
        {"Out": [graph.write(node)]},
        scale=factor,
        bias=shift,
        bias_after_scale=True,
    )
    return True


def _tensor(graph: Graph, node: Node, place: int, result: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """The program's tensor for an input, and its shape. A constant that goes first is repeated right here."""
    import numpy as np

    name = node.inputs[place]
    if name not in graph.constants:
        return graph.names[name], graph.shape(node, name)
    array: NDArray[Any] = graph.constants[name]
    if node.kind not in _EITHER_WAY and place == 0:
        array = np.broadcast_to(array, result)
    elif array.ndim < len(result):
        array = array.reshape((1,) * (len(result) - array.ndim) + array.shape)
    return graph.program.parameter(array), tuple(array.shape)


def _repeated(graph: Graph, tensor: str, shape: tuple[int, ...], result: tuple[int, ...]) -> str:
    if len(shape) < len(result):
        shape = (1,) * (len(result) - len(shape)) + shape
        tensor = graph.reshaped(tensor, shape)
    if shape == result:
        return tensor
    made = graph.temporary(result)
    graph.program.operation("expand_v2", {"X": [tensor]}, {"Out": [made]}, shape=list(result))
    return made


WRITERS: dict[str, Write] = {**dict.fromkeys(_KINDS, arithmetic), "Pow": power}
