"""Builds an ONNX graph node by node: what readers of other formats write into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

OPSET, IR_VERSION = 17, 8


class OnnxGraph:
    """Nodes and constants as they are added; a tensor is its name."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, NDArray[Any]] = {}
        self._count = 0

    def fresh(self, stem: str) -> str:
        """A name that nothing has yet."""
        self._count += 1
        return f"{stem}_{self._count}"

    def constant(self, array: Any, name: str = "") -> str:
        """A constant; the same name is the same constant."""
        import numpy as np

        name = name or self.fresh("constant")
        self._constants.setdefault(name, np.ascontiguousarray(array))
        return name

    def node(self, op: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """A node with one output, whose name is returned."""
        return self.nodes(op, inputs, [output or self.fresh(op)], **attributes)[0]

    def nodes(self, op: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> list[str]:
        """A node with several outputs."""
        import onnx

        name = self.fresh(f"node_{op}")
        self._nodes.append(onnx.helper.make_node(op, inputs, outputs, name=name, **attributes))
        return list(outputs)

    def save(
        self,
        path: Path,
        inputs: Mapping[str, tuple[str, Sequence[int | str]]],
        outputs: Mapping[str, tuple[str, Sequence[int | str] | None]],
    ) -> None:
        """Write the model; inputs and outputs are name -> (numpy dtype, shape; a name is an open axis)."""
        import numpy as np
        import onnx
        from onnx import numpy_helper

        def port(name: str, kind: tuple[str, Sequence[int | str] | None]) -> onnx.ValueInfoProto:
            element = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind[0]))
            return onnx.helper.make_tensor_value_info(name, element, kind[1])

        used = {name for node in self._nodes for name in node.input}
        graph = onnx.helper.make_graph(
            self._nodes,
            path.stem,
            [port(name, kind) for name, kind in inputs.items()],
            [port(name, kind) for name, kind in outputs.items()],
            [numpy_helper.from_array(array, name) for name, array in self._constants.items() if name in used],
        )
        model = onnx.helper.make_model(
            graph,
            producer_name="edgeflow",
            ir_version=IR_VERSION,
            opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        )
        onnx.save(model, path)
