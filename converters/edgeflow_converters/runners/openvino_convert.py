"""ONNX to OpenVINO's own format. Spec: source, out (.xml; the .bin lies beside it), half."""

from __future__ import annotations

import sys
from typing import Any

from edgeflow_converters.errors import ConverterFailed
from edgeflow_converters.runners.process import Json, serve


def work(spec: Json) -> Json:
    import openvino

    try:
        model = openvino.Core().read_model(spec["source"])
    except RuntimeError as error:
        raise ConverterFailed(f"OpenVINO cannot read the model: {last_line(error)}") from error
    name_ports(model, spec["inputs"], spec["outputs"])
    openvino.save_model(model, spec["out"], compress_to_fp16=spec["half"])
    return {}


def name_ports(model: Any, inputs: list[str], outputs: list[str]) -> None:
    """Leaves each input and output with one name, its name in the source.

    OpenVINO keeps every name that a tensor had on its way through the graph, and which it tells is chance.
    """
    for kind, ports, names in (("input", model.inputs, inputs), ("output", model.outputs, outputs)):
        if len(ports) != len(names):
            raise ConverterFailed(f"OpenVINO made {len(ports)} {kind}s of the model's {len(names)}")
        for port, name in zip(ports, names, strict=True):
            if name not in port.get_names():
                raise ConverterFailed(f"OpenVINO lost {kind} {name!r}: it has {sorted(port.get_names())}")
            port.get_tensor().set_names({name})


def last_line(error: BaseException) -> str:
    """What OpenVINO says, without the places in its sources that it puts first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__


if __name__ == "__main__":
    sys.exit(serve(work))
