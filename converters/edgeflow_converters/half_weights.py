"""Which weights fit float16; and for ONNX, float32 weights -> float16 in the file, widened before use.

A Cast follows each weight, so every operator still computes in float32, and says so; ONNX Runtime folds the
Casts when it loads the model. The file halves, memory and time stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

_MIN_ELEMENTS = 16  # below, a Cast costs more bytes than it saves; shapes and scalars stay exact
_HALF = "_as_fp16"
_SMALLEST_NORMAL = 2.0**-14
# Relative L2 error of a tensor. Rounding alone costs 2.8e-4; weights lost to underflow cost more.
_MAX_ERROR = 1e-3


def fits_half(weights: NDArray[Any]) -> bool:
    """Whether float16 keeps what `weights` say: none overflows, and few matter that underflow."""
    import numpy as np

    if float(np.max(np.abs(weights), initial=0.0)) > float(np.finfo(np.float16).max):
        return False
    half = weights.astype(np.float16).astype(np.float64)
    half[np.abs(half) < _SMALLEST_NORMAL] = 0.0  # runtimes flush subnormal halves: count them as lost
    norm = float(np.linalg.norm(weights.astype(np.float64)))
    return norm == 0.0 or float(np.linalg.norm(half - weights)) / norm <= _MAX_ERROR


def round_weights_to_half(model: onnx.ModelProto) -> None:
    """Change `model` in place: float32 weights that fit float16 become the nearest numbers that it holds, and
    stay float32. For tools that cut them to float16 by themselves."""
    import numpy as np
    import onnx
    from onnx import numpy_helper

    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor)
            if values.size >= _MIN_ELEMENTS and fits_half(values):
                rounded = values.astype(np.float16).astype(np.float32)
                tensor.CopyFrom(numpy_helper.from_array(rounded, tensor.name))


def store_weights_as_half(model: onnx.ModelProto) -> list[str]:
    """Change `model` in place; returns the names of the weights that stay float32 because they do not fit."""
    import numpy as np
    import onnx
    from onnx import numpy_helper

    outputs = {value.name for value in model.graph.output}
    casts: list[onnx.NodeProto] = []
    islands: list[str] = []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or tensor.name in outputs:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < _MIN_ELEMENTS:
            continue
        if not fits_half(values):
            islands.append(tensor.name)
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + _HALF))
        casts.append(onnx.helper.make_node("Cast", [name + _HALF], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return islands
