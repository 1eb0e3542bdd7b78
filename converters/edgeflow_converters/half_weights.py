"""float32 weights -> float16 in the file, widened to float32 before use.

A Cast follows each weight, so every operator still computes in float32, and says so; ONNX Runtime folds the
Casts when it loads the model. The file halves, memory and time stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeflow_converters.errors import UnsupportedModel

if TYPE_CHECKING:
    import onnx

_MIN_ELEMENTS = 16  # below, a Cast costs more bytes than it saves; shapes and scalars stay exact
_HALF = "_as_fp16"


def store_weights_as_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model`, changed in place. Raises UnsupportedModel for a weight beyond float16's range."""
    import numpy as np
    import onnx
    from onnx import numpy_helper

    outputs = {value.name for value in model.graph.output}
    casts: list[onnx.NodeProto] = []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or tensor.name in outputs:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < _MIN_ELEMENTS:
            continue
        largest = float(np.max(np.abs(values)))
        if largest > float(np.finfo(np.float16).max):
            raise UnsupportedModel(
                f"weight {tensor.name!r} holds {largest:g}, beyond float16's 65504",
                hint="use --precision fp32",
            )
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + _HALF))
        casts.append(onnx.helper.make_node("Cast", [name + _HALF], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model
