"""The product of a target that keeps the source's names, shapes and layout: MNN, ONNX Runtime, OpenVINO."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from edgeflow_converters.base import Product
from edgeflow_converters.inspect import PortInfo, inspect_model
from edgeflow_converters.precision import Precision
from edgeflow_converters.tensors import TensorSpec

_SAME: Mapping[str, str] = MappingProxyType({})


def unchanged_product(
    source: Path,
    files: Mapping[str, str],
    cell: Precision,
    tools: Mapping[str, str],
    *,
    notes: tuple[str, ...] = (),
    dtypes: Mapping[str, str] = _SAME,
) -> Product:
    """The product of `source`, whose tensors it keeps; `dtypes` are those that it holds as others."""
    info = inspect_model(source)
    return Product(
        files=files,
        inputs=tuple(_spec(port, dtypes) for port in info.inputs),
        outputs=tuple(_spec(port, dtypes) for port in info.outputs),
        runtime_options=dict(cell.runtime_flags),
        weights_dtype=cell.weights_dtype,
        compute_dtype=cell.compute_dtype,
        tools=tools,
        notes=notes,
    )


def _spec(port: PortInfo, dtypes: Mapping[str, str]) -> TensorSpec:
    shape = tuple(dim for dim in port.shape if isinstance(dim, int))
    return TensorSpec(port.name, dtypes.get(port.dtype, port.dtype), shape, port.name, shape)
