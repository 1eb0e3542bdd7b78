"""MNN, by the converter and quantizer inside its own wheel (mnn_tool.py).

Its fp16 cuts mantissas instead of rounding, so the weights are rounded to half-precision numbers before it
sees them. Static int8 is tried with both of its calibration methods.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeflow_converters import packages, precision
from edgeflow_converters.base import ConvertRequest, Product, ProgressFn, ToolStatus
from edgeflow_converters.errors import UnsupportedModel
from edgeflow_converters.inspect import ModelInfo, all_nodes, load_checked
from edgeflow_converters.runners import process
from edgeflow_converters.targets import half_range, mnn_quant, mnn_tool
from edgeflow_converters.targets.best import Maker, best_of
from edgeflow_converters.targets.unchanged import unchanged_product

_MODEL = "model.mnn"
_DTYPES = {"float32": "float32", "int32": "int32", "int64": "int32"}
"""The source's dtype -> MNN's: it holds 64-bit integers in 32 bits."""
_WEIGHT_FLAGS = {"fp32": (), "fp16": ("--fp16",), "int8": ("--weightQuantBits", "8")}
"""Weights dtype -> the converter's flags."""
_SCALES = {
    "one scale a channel": (),
    "scale and offset a channel": ("--weightQuantAsymmetric",),
    "one scale for 32 weights": ("--weightQuantBlock", "32"),
}
"""How finely 8-bit weights are scaled -> the converter's flags; the first that agrees is taken."""


class MnnConverter:
    """ONNX to .mnn. MNN keeps the names and the layout of the source."""

    name = "mnn"
    rewrites: tuple[str, ...] = (
        "explicit_axes",
        "variadic_as_binary",
        "explicit_pad",
        "explicit_strides",
        "less_as_greater",
        "norms_of_computed_scale",
        "rms_normalization_as_arithmetic",
    )

    def __init__(self, tools_root: Path) -> None:
        self._tools_root = tools_root

    def doctor(self) -> ToolStatus:
        return packages.MNN.status(self._tools_root)

    def versions(self) -> dict[str, str]:
        return {"mnn": packages.MNN.version}

    def requires(self, request: ConvertRequest, info: ModelInfo) -> None:
        """Without the two operators that MNN gets wrong silently."""
        if {"GridSample", "Mod"} & set(info.op_counts):
            _require_right_ops(request.source)

    def convert(self, request: ConvertRequest, out: Path, progress: ProgressFn) -> Product:
        cell = precision.lookup(self.name, request.precision)
        library = packages.MNN.ensure(self._tools_root, progress)
        work = out.parent / "mnn"
        work.mkdir()
        if request.precision == "int8":
            return self._static_int8(library, request, out, work, progress)
        if request.precision == "int8-dynamic":
            return self._dynamic_int8(library, request, out, work, progress)
        progress("mnnconvert")
        notes: tuple[str, ...] = ()
        source = request.source
        if cell.weights_dtype == "fp16":
            source = work / "rounded.onnx"
            spec = {"source": str(request.source), "out": str(source), "keep_fp32": True}
            what = "rounding weights to fp16"
            process.call("half_weights", spec, what=what, cwd=work, timeout_s=request.timeout_s)
            overflows = half_range.overflows(request, work)
            if overflows:
                # MNN chooses its arithmetic for a whole session: it has no islands.
                fp32 = precision.lookup(self.name, "fp32")
                cell = replace(cell, compute_dtype=fp32.compute_dtype, runtime_flags=fp32.runtime_flags)
                notes = (f"all of it is computed in fp32: {half_range.told(overflows)}",)
        flags = _WEIGHT_FLAGS[cell.weights_dtype]
        mnn_tool.mnnconvert(library, source, out / _MODEL, flags, work, request.timeout_s)
        return self._product(request.source, cell, notes)

    def _static_int8(
        self, library: Path, request: ConvertRequest, out: Path, work: Path, progress: ProgressFn
    ) -> Product:
        progress("mnnconvert")
        fp32 = work / "fp32.mnn"
        mnn_tool.mnnconvert(library, request.source, fp32, (), work, request.timeout_s)
        calibration = work / "calibration"
        calibration.mkdir()
        mnn_quant.write_calibration(request.calibration, calibration)
        cell = precision.lookup(self.name, request.precision)

        def maker(method: str) -> Maker:
            def make(folder: Path) -> Product:
                mnn_quant.mnnquant(
                    library, fp32, folder / _MODEL, calibration, method, work, request.timeout_s
                )
                return self._product(request.source, cell, ())

            return make

        makers = {method: maker(method) for method in mnn_quant.METHODS}
        return best_of(self, makers, request, out, work, progress)

    def _dynamic_int8(
        self, library: Path, request: ConvertRequest, out: Path, work: Path, progress: ProgressFn
    ) -> Product:
        """8-bit weights: one scale a channel, or, where that is too coarse, one for each few weights."""
        cell = precision.lookup(self.name, request.precision)

        def maker(finer: tuple[str, ...]) -> Maker:
            def make(folder: Path) -> Product:
                flags = (*_WEIGHT_FLAGS[cell.weights_dtype], *finer)
                product = folder / _MODEL
                mnn_tool.mnnconvert(library, request.source, product, flags, work, request.timeout_s)
                return self._product(request.source, cell, ())

            return make

        makers = {name: maker(finer) for name, finer in _SCALES.items()}
        return best_of(self, makers, request, out, work, progress, enough=1.0)

    def _product(self, source: Path, cell: precision.Precision, notes: tuple[str, ...]) -> Product:
        return unchanged_product(
            source, {"model": _MODEL}, cell, self.versions(), notes=notes, dtypes=_DTYPES
        )

    def run(
        self, product: Product, folder: Path, samples: Path, result: Path, work: Path, timeout_s: float
    ) -> None:
        """Run the product over samples in a subprocess; see runners/mnn.py."""
        spec: dict[str, Any] = {
            "model": str(folder / product.files["model"]),
            "options": dict(product.runtime_options),
            "inputs": [item.to_json() for item in product.inputs],
            "outputs": [item.to_json() for item in product.outputs],
            "samples": str(samples),
            "result": str(result),
        }
        library = packages.MNN.ensure(self._tools_root, lambda phase: None)
        process.call(
            "mnn",
            spec,
            what="MNN, running the converted model,",
            cwd=work,
            timeout_s=timeout_s,
            packages=[library],
        )


def _require_right_ops(source: Path) -> None:
    """Refuses what MNN 3.6.1 converts and computes wrong."""
    for node in all_nodes(load_checked(source).graph):
        attributes = {attribute.name: attribute for attribute in node.attribute}
        if node.op_type == "GridSample" and "padding_mode" in attributes:
            wrong = attributes["padding_mode"].s == b"reflection"
            what = "GridSample with padding_mode reflection"
        else:
            wrong = node.op_type == "Mod" and "fmod" in attributes and attributes["fmod"].i == 1
            what = "Mod with fmod = 1"
        if wrong:
            raise UnsupportedModel(
                f"mnn computes {what} wrong ({node.name or node.output[0]!r})",
                hint="change the model there, or use --runtime onnxruntime",
            )
