"""A QAIRT .dlc (dlc.py)."""

from __future__ import annotations

from pathlib import Path

from edgeflow_converters.dlc import read_dlc
from edgeflow_converters.formats import Description, Tensor


def describe(path: Path, tools_root: Path) -> Description:
    del tools_root
    found = read_dlc(path)
    return Description(
        format="QAIRT DLC",
        version=str(found.version),
        producer=f"QAIRT {found.producer}, {found.made_by}".strip(" ,"),
        operators=found.op_counts,
        tensors=tuple(
            Tensor(tensor.name, tensor.kind, tensor.dtype, tensor.shape, tensor.size_bytes)
            for tensor in found.tensors
        ),
        parameters_bytes=found.params_bytes,
        size_bytes=0,
        not_listed=("quantization parameters and attributes of operators",),
    )
