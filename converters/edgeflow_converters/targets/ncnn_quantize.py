"""An fp32 ncnn model in int8, as well as the gate can be pleased.

Ranges are measured on the calibration inputs by ncnn itself, in fp32. Those by divergence and by extremes are
both tried. If neither is within the tolerance, each layer gets the range that loses less, measured with that
layer alone in int8, and layers that lose most stay fp32: a few, then more, up to half of them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeflow_converters import precision
from edgeflow_converters.arrays import save_sets
from edgeflow_converters.base import Converter, ConvertRequest, Product, ProgressFn
from edgeflow_converters.errors import UnsupportedModel
from edgeflow_converters.runners import process
from edgeflow_converters.targets import ncnn_int8, ncnn_param
from edgeflow_converters.targets.best import Maker, best_of

_WAYS: Mapping[str, str] = {"KL": "KL", "min-max": "extremes"}
"""Name -> key of the ranges that runners/ncnn_ranges.py measures."""
_SHARES_OF_FP32 = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5)
_LEAST_INT8 = 0.5  # of the weights: below, it is no int8 model
_LOSSES_ON = 4  # calibration inputs that the losses are measured on
_NAMED = 8

Ranges = Mapping[str, float]  # layer name -> the largest absolute value that its input is to hold


@dataclass(frozen=True, slots=True)
class Float32Model:
    """The product to quantize, in fp32, and where its files lie."""

    product: Product
    folder: Path

    def file(self, role: str) -> Path:
        return self.folder / self.product.files[role]


def quantized(
    target: Converter,
    request: ConvertRequest,
    fp32: Float32Model,
    out: Path,
    work: Path,
    progress: ProgressFn,
) -> Product:
    """The int8 product of `fp32`, its files in `out`. Raises UnsupportedModel if no layer can be int8."""
    layers = ncnn_param.parse_param(fp32.file("param"))
    candidates = ncnn_int8.quantizable(layers)
    if not candidates:
        raise UnsupportedModel(
            "int8 would change nothing: of 2-D convolutions and products with fixed weights, which ncnn "
            "computes in int8, the model has none",
            hint="use --precision fp16 or fp32",
        )
    ranges = _ranges(request, fp32, candidates, work, progress)
    writer = _Writer(fp32, layers, len(request.calibration))

    @functools.cache
    def losses() -> dict[str, dict[str, float]]:
        return _losses(request, fp32, ranges, work, progress)

    def better(count: int) -> Maker:
        def make(folder: Path) -> Product:
            found = losses()
            best = {layer.name: min(ranges, key=lambda way: found[layer.name][way]) for layer in candidates}
            lost = {name: found[name][way] for name, way in best.items()}
            worst = sorted(lost, key=lambda name: -lost[name])[:count]
            chosen = {name: ranges[way][name] for name, way in best.items()}
            return writer.write(folder, chosen, {name: lost[name] for name in worst})

        return make

    counts = sorted({math.ceil(share * len(candidates)) for share in _SHARES_OF_FP32})
    fallbacks = {_name(count, len(candidates)): better(count) for count in counts if count < len(candidates)}
    makers = {name: writer.maker(ranges[name]) for name in _WAYS}
    return best_of(target, makers, request, out, work, progress, fallbacks=fallbacks)


def _name(count: int, of: int) -> str:
    kept = f" with {count} of {of} layers in fp32" if count else ""
    return f"the better range of each layer{kept}"


@dataclass(frozen=True, slots=True)
class _Writer:
    fp32: Float32Model
    layers: list[ncnn_param.Layer]
    calibrated_on: int

    def maker(self, ranges: Ranges) -> Maker:
        return lambda folder: self.write(folder, ranges, {})

    def write(self, folder: Path, ranges: Ranges, floating: Mapping[str, float]) -> Product:
        """The product, in `folder`. `floating`: layers that stay fp32 -> what int8 would lose."""
        model = ncnn_int8.write_int8(self.layers, self.fp32.file("bin").read_bytes(), ranges, floating)
        if model.share < _LEAST_INT8:
            raise UnsupportedModel(
                f"only {model.share:.0%} of the weights would be int8: the others are in layers that ncnn "
                "cannot compute in it, or that would lose too much",
                hint="use --precision fp16 or fp32, or another runtime",
            )
        files = self.fp32.product.files
        ncnn_param.write_param(model.layers, folder / files["param"])
        (folder / files["bin"]).write_bytes(model.data)
        cell = precision.lookup("ncnn", "int8")
        return replace(
            self.fp32.product,
            runtime_options=dict(cell.runtime_flags),
            weights_dtype=cell.weights_dtype,
            compute_dtype=cell.compute_dtype,
            notes=(*self.fp32.product.notes, *self._told(model, floating)),
        )

    def _told(self, model: ncnn_int8.Int8Model, floating: Mapping[str, float]) -> list[str]:
        able = [layer.name for layer in ncnn_int8.quantizable(self.layers)]
        still = {layer.name for layer in ncnn_int8.quantizable(model.layers)}
        told = [f"ranges measured on {self.calibrated_on} real input sets"]
        told.append(
            f"int8: {len(able) - len(still)} of the {len(able)} layers that ncnn can compute in it, "
            f"{model.share:.0%} of the weights"
        )
        if floating:
            shown = [f"{name} ({loss:.2g})" for name, loss in floating.items()]
            told.append(f"in fp32, for what each alone would cost (relative L2): {_few(shown)}")
        idle = [name for name in able if name in still and name not in floating]
        if idle:
            told.append(f"in fp32, because calibration saw only zeros before them: {_few(idle)}")
        return told


def _few(names: Collection[str]) -> str:
    shown = list(names)[:_NAMED]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(shown) + more


def _ranges(
    request: ConvertRequest,
    fp32: Float32Model,
    candidates: list[ncnn_param.Layer],
    work: Path,
    progress: ProgressFn,
) -> dict[str, Ranges]:
    """Way -> layer -> range, measured on all calibration inputs."""
    progress("measure ranges")
    save_sets(work / "calibration.npz", request.calibration)
    blobs = sorted({layer.inputs[0] for layer in candidates})
    answer = _call("ncnn_ranges", request, fp32, work, samples=str(work / "calibration.npz"), blobs=blobs)[
        "ranges"
    ]
    return {
        name: {layer.name: answer[layer.inputs[0]][key] for layer in candidates}
        for name, key in _WAYS.items()
    }


def _losses(
    request: ConvertRequest,
    fp32: Float32Model,
    ranges: Mapping[str, Ranges],
    work: Path,
    progress: ProgressFn,
) -> dict[str, dict[str, float]]:
    progress("measure what each layer loses in int8")
    save_sets(work / "losses.npz", request.calibration[:_LOSSES_ON])
    cell = precision.lookup("ncnn", "int8")
    answer = _call(
        "ncnn_losses",
        request,
        fp32,
        work,
        samples=str(work / "losses.npz"),
        ranges=ranges,
        options=dict(cell.runtime_flags),
    )
    losses: dict[str, dict[str, float]] = answer["losses"]
    return losses


def _call(runner: str, request: ConvertRequest, fp32: Float32Model, work: Path, **more: Any) -> process.Json:
    spec = {
        "param": str(fp32.file("param")),
        "bin": str(fp32.file("bin")),
        "options": dict(fp32.product.runtime_options),
        "inputs": [item.to_json() for item in fp32.product.inputs],
        "outputs": [item.to_json() for item in fp32.product.outputs],
        **more,
    }
    return process.call(runner, spec, what="ncnn, calibrating,", cwd=work, timeout_s=request.timeout_s)
