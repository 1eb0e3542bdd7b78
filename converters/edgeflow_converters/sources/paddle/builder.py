"""The ONNX graph in the making, as a family of operators sees it: a Paddle tensor's name leads to ONNX's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgeflow_converters.errors import UnsupportedModel
from edgeflow_converters.paddle.read import Description, Operation

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

OPSET, _IR = 17, 8
_HINT = "change the model's code there and export it again, or export it to ONNX by its own tools"


class Builder:
    """Nodes and constants as they are added. A program may write a tensor twice, ONNX may not: each value
    has a name of its own, and an output gets the program's at the end."""

    def __init__(self, program: Description, shapes: Mapping[str, Sequence[int]]) -> None:
        self._program = program
        self._shapes = shapes  # of inputs, where their open axes were told
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, NDArray[Any]] = {}
        self._names: dict[str, str] = {}

    def fed(self, name: str) -> None:
        """`name` is an input of the model."""
        self._names[name] = name

    def has(self, operation: Operation, slot: str) -> bool:
        """Whether the operation is given such an input."""
        return bool(operation.inputs.get(slot))

    def read(self, operation: Operation, slot: str, index: int = 0) -> str:
        """ONNX's name of an input."""
        name = self._variable(operation, slot, index)
        if name in self._names:
            return self._names[name]
        if name not in self._program.parameters:
            raise self.declined(operation, f"its input {name!r} is computed by nobody")
        self._names[name] = self.constant(self._program.parameters[name], name)
        return self._names[name]

    def all(self, operation: Operation, slot: str) -> list[str]:
        """ONNX's names of every input in a slot."""
        return [self.read(operation, slot, index) for index in range(len(operation.inputs.get(slot, ())))]

    def value(self, operation: Operation, slot: str) -> NDArray[Any]:
        """The value of an input that must be known before the model runs."""
        found = self.known(operation, slot)
        if found is None:
            raise self.declined(operation, f"its {slot} is computed, and must be a constant")
        return found

    def known(self, operation: Operation, slot: str) -> NDArray[Any] | None:
        """The value of an input, where it is a constant."""
        return self._constants.get(self.read(operation, slot))

    def shape(self, operation: Operation, slot: str, index: int = 0) -> tuple[int, ...]:
        """What the program says of a tensor's shape, an input's or an output's; -1 where it is open."""
        return self._program.variables[self._variable(operation, slot, index)].shape

    def rank(self, operation: Operation, slot: str, index: int = 0) -> int:
        return len(self.shape(operation, slot, index))

    def dtype(self, operation: Operation, slot: str) -> str:
        return self._program.variables[self._variable(operation, slot, 0)].dtype

    def constant(self, value: Any, base: str = "constant", dtype: str | None = None) -> str:
        """ONNX's name of a new constant."""
        import numpy as np

        name = base if base not in self._taken() else f"{base}.{len(self._constants)}"
        self._constants[name] = np.asarray(value, dtype)
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """The one result of a new node."""
        return self.nodes(kind, inputs, 1, **attributes)[0]

    def nodes(self, kind: str, inputs: Sequence[str], results: int, **attributes: Any) -> list[str]:
        """The results of a new node."""
        import onnx

        number = len(self._nodes)
        made = [f"{kind}_{number}" + (f".{index}" if index else "") for index in range(results)]
        self._nodes.append(onnx.helper.make_node(kind, inputs, made, name=made[0], **attributes))
        return made

    def write(self, operation: Operation, slot: str, value: str, index: int = 0) -> None:
        """`value` is what the operation gives; from here on the program's tensor means it."""
        self._names[operation.outputs[slot][index]] = value

    def declined(self, operation: Operation, why: str) -> UnsupportedModel:
        """The error that names this operation, by what it gives."""
        given = next((names[0] for names in operation.outputs.values() if names), "")
        return UnsupportedModel(f"Paddle's {operation.kind} {given!r} cannot be taken: {why}", hint=_HINT)

    def model(self) -> onnx.ModelProto:
        """The model, with the program's names for its outputs."""
        import onnx
        from onnx import numpy_helper

        ports = [
            self._port(each.name, each.dtype, tuple(self._shapes.get(each.name, each.shape)))
            for each in self._program.fed()
        ]
        results = []
        for name in self._program.fetched():
            variable = self._program.variables[name]
            made = self._names.get(name, "")
            if not made:
                raise UnsupportedModel(f"the program's output {name!r} is computed by nobody", hint=_HINT)
            self._nodes.append(
                onnx.helper.make_node("Identity", [made], [self._given(name)], name=f"give {name}")
            )
            results.append(self._port(self._given(name), variable.dtype, variable.shape))
        used = {name for node in self._nodes for name in node.input}
        graph = onnx.helper.make_graph(
            self._nodes, "paddle", ports, results,
            [numpy_helper.from_array(value, name) for name, value in self._constants.items() if name in used],
        )  # fmt: skip
        opset = [onnx.helper.make_opsetid("", OPSET)]
        return onnx.helper.make_model(graph, producer_name="edgeflow", ir_version=_IR, opset_imports=opset)

    def _given(self, name: str) -> str:
        """An output's name: the program's, unless it is an input as well."""
        return f"{name}.out" if name in {each.name for each in self._program.fed()} else name

    def _port(self, name: str, dtype: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
        import numpy as np
        import onnx

        kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        dims = [size if size >= 0 else f"{name}_{axis}" for axis, size in enumerate(shape)]
        return onnx.helper.make_tensor_value_info(name, kind, dims)

    def _taken(self) -> set[str]:
        return {*self._constants, *self._names, *self._program.fetched()}

    def _variable(self, operation: Operation, slot: str, index: int) -> str:
        names = operation.inputs.get(slot) or operation.outputs.get(slot) or ()
        if index >= len(names):
            raise self.declined(operation, f"it has no {slot}")
        return names[index]


Mirror = Callable[[Builder, Operation], None]
"""Adds what an operation computes to the graph. Raises UnsupportedModel for what it cannot express."""
