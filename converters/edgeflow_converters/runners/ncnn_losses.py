"""What each layer of an ncnn model costs in accuracy when it alone is int8.

Spec: param, bin (fp32), options, inputs, outputs (TensorSpec), samples (.npz), and ranges,
{way: {layer: range}}. Answer: losses, {layer: {way: loss}}: the worst relative L2 distance of an
output from the fp32 model's own.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_converters.arrays import load_sets
from edgeflow_converters.runners.ncnn import load, run_once
from edgeflow_converters.runners.process import Json, serve
from edgeflow_converters.targets import ncnn_int8
from edgeflow_converters.targets.ncnn_param import parse_param, write_param
from edgeflow_converters.tensors import TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeflow_converters.tensors import Tensors

_PARAM, _BIN = Path("one-layer.param"), Path("one-layer.bin")


def work(spec: Json) -> Json:
    layers = parse_param(Path(spec["param"]))
    data = Path(spec["bin"]).read_bytes()
    samples = load_sets(Path(spec["samples"]))
    exact = _outputs(spec, samples)
    losses: dict[str, dict[str, float]] = {}
    for layer in ncnn_int8.quantizable(layers):
        for way, ranges in spec["ranges"].items():
            one = ncnn_int8.write_int8(layers, data, {layer.name: ranges[layer.name]})
            write_param(one.layers, _PARAM)
            _BIN.write_bytes(one.data)
            got = _outputs({**spec, "param": str(_PARAM), "bin": str(_BIN)}, samples)
            losses.setdefault(layer.name, {})[way] = _distance(exact, got)
    return {"losses": losses}


def _outputs(spec: Json, samples: Sequence[Tensors]) -> list[dict[str, NDArray[Any]]]:
    import ncnn

    inputs = [TensorSpec.from_json(item) for item in spec["inputs"]]
    outputs = [TensorSpec.from_json(item) for item in spec["outputs"]]
    with ncnn.Net() as net:
        net.opt.num_threads = (
            1  # most of the time goes into loading; threads that wait would take other work's
        )
        load(net, spec)
        return [run_once(net, inputs, outputs, sample) for sample in samples]


def _distance(exact: Sequence[Tensors], got: Sequence[Tensors]) -> float:
    import numpy as np

    worst = 0.0
    for name in exact[0]:
        error = sum(float(np.sum((b[name] - a[name]) ** 2.0)) for b, a in zip(exact, got, strict=True))
        norm = sum(float(np.sum(b[name] ** 2.0)) for b in exact)
        distance = float(np.sqrt(error / max(norm, 1e-30)))
        worst = max(worst, distance) if np.isfinite(distance) else 1e9
    return worst


if __name__ == "__main__":
    sys.exit(serve(work))
