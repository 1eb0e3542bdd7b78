"""An ONNX file; weights in external data are told by their shapes."""

from __future__ import annotations

import math
from pathlib import Path

from edgeflow_converters.formats import Description, Tensor
from edgeflow_converters.inspect import inspect_model, load_checked


def describe(path: Path, tools_root: Path) -> Description:
    del tools_root
    import onnx

    info = inspect_model(path)
    weights = []
    for value in load_checked(path).graph.initializer:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.data_type)
        size_bytes = math.prod(value.dims) * dtype.itemsize
        weights.append(Tensor(value.name, "constant", str(dtype), tuple(value.dims), size_bytes))
    ports = [Tensor(port.name, "input", port.dtype, port.shape) for port in info.inputs]
    ports += [Tensor(port.name, "output", port.dtype, port.shape) for port in info.outputs]
    return Description(
        format="ONNX",
        version=f"IR {info.ir_version}, opset {info.opset}",
        producer=info.producer,
        operators=info.op_counts,
        tensors=(*ports, *weights),
        parameters_bytes=sum(tensor.size_bytes for tensor in weights),
        size_bytes=0,
        not_listed=("inner tensors", "weights inside of subgraphs"),
    )
