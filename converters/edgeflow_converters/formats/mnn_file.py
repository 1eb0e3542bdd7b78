"""A .mnn, as MNN itself tells it in a subprocess: its inputs and outputs."""

from __future__ import annotations

import tempfile
from pathlib import Path

from edgeflow_converters import packages
from edgeflow_converters.formats import Description, Tensor
from edgeflow_converters.runners import process

_TIMEOUT_S = 120.0


def describe(path: Path, tools_root: Path) -> Description:
    library = packages.MNN.ensure(tools_root, lambda phase: None)
    with tempfile.TemporaryDirectory() as work:
        answer = process.call(
            "mnn_ports",
            {"model": str(path.resolve())},
            what="MNN, reading the model,",
            cwd=Path(work),
            timeout_s=_TIMEOUT_S,
            packages=[library],
        )
    ports = [
        Tensor(item["name"], kind, item["dtype"], tuple(item["shape"]))
        for kind in ("input", "output")
        for item in answer[f"{kind}s"]
    ]
    return Description(
        format="MNN",
        version=answer["version"],
        producer="",
        operators=None,
        tensors=tuple(ports),
        parameters_bytes=None,
        size_bytes=0,
        not_listed=("operators, inner tensors and parameters: MNN's Python package does not tell them",),
    )
