"""OpenVINO's IR (.xml and .bin), by its own reader of ONNX; 8 bits by NNCF.

It keeps the names, the layout and the dtypes of the source. NNCF comes into a folder of its own and runs in
a subprocess, as OpenVINO does.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeflow_converters import packages, precision
from edgeflow_converters.arrays import save_sets
from edgeflow_converters.base import ConvertRequest, Product, ProgressFn, ToolStatus, require_written
from edgeflow_converters.inspect import ModelInfo
from edgeflow_converters.runners import process
from edgeflow_converters.targets.best import Maker, best_of
from edgeflow_converters.targets.unchanged import unchanged_product

_XML, _BIN = "model.xml", "model.bin"
_STATIC: Mapping[str, Mapping[str, Any]] = {
    "extremes of each tensor": {"preset": "MIXED", "fast_bias_correction": True, "extremes": True},
    "mixed": {"preset": "MIXED", "fast_bias_correction": True, "extremes": False},
    "symmetric": {"preset": "PERFORMANCE", "fast_bias_correction": True, "extremes": False},
    "mixed with full bias correction": {"preset": "MIXED", "fast_bias_correction": False, "extremes": False},
}
"""NNCF's ways to quantize; the first that takes half the tolerance or less, else the best of them."""
_HALF = 0.5
_WEIGHTS: Mapping[str, Mapping[str, Any]] = {
    "symmetric weights": {"mode": "INT8_SYM"},
    "asymmetric weights": {"mode": "INT8_ASYM"},
}


class OpenvinoConverter:
    """ONNX to .xml and .bin."""

    name = "openvino"
    rewrites: tuple[str, ...] = ()

    def __init__(self, tools_root: Path) -> None:
        self._tools_root = tools_root

    def doctor(self) -> ToolStatus:
        return packages.OPENVINO.status(self._tools_root)

    def versions(self) -> dict[str, str]:
        return {"openvino": packages.OPENVINO.version, "nncf": packages.NNCF.version}

    def requires(self, request: ConvertRequest, info: ModelInfo) -> None:
        """Nothing beyond acceptance.py's table; the rest is for OpenVINO's reader to say."""

    def convert(self, request: ConvertRequest, out: Path, progress: ProgressFn) -> Product:
        cell = precision.lookup(self.name, request.precision)
        library = packages.OPENVINO.ensure(self._tools_root, progress)
        work = out.parent / "openvino"
        work.mkdir()
        product = self._product(request.source, cell)
        quantized = cell.weights_dtype == "int8"
        progress("openvino")
        spec = {
            "source": str(request.source),
            "out": str((work if quantized else out) / _XML),
            "half": cell.weights_dtype == "fp16",
            "inputs": [item.runtime_name for item in product.inputs],
            "outputs": [item.runtime_name for item in product.outputs],
        }
        what = f"OpenVINO, reading {request.source.name},"
        process.call(
            "openvino_convert",
            spec,
            what=what,
            cwd=work,
            timeout_s=request.timeout_s,
            packages=[library],
        )
        require_written(product.files, work if quantized else out, "OpenVINO's converter")
        return self._quantized(request, product, out, work, progress) if quantized else product

    def run(
        self, product: Product, folder: Path, samples: Path, result: Path, work: Path, timeout_s: float
    ) -> None:
        """Run the product over samples in a subprocess; see runners/openvino.py."""
        spec: dict[str, Any] = {
            "xml": str(folder / product.files["xml"]),
            "bin": str(folder / product.files["bin"]),
            "options": dict(product.runtime_options),
            "inputs": [item.to_json() for item in product.inputs],
            "outputs": [item.to_json() for item in product.outputs],
            "samples": str(samples),
            "result": str(result),
        }
        what = "OpenVINO, running the converted model,"
        library = packages.OPENVINO.ensure(self._tools_root, lambda phase: None)
        process.call("openvino", spec, what=what, cwd=work, timeout_s=timeout_s, packages=[library])

    def _quantized(
        self, request: ConvertRequest, product: Product, out: Path, work: Path, progress: ProgressFn
    ) -> Product:
        libraries = [
            packages.NNCF.ensure(self._tools_root, progress),
            packages.OPENVINO.ensure(self._tools_root, progress),
        ]
        common: dict[str, Any] = {"model": str(work / _XML)}
        ways = _WEIGHTS
        if request.precision == "int8":
            ways = _STATIC
            save_sets(work / "calibration.npz", request.calibration)
            common["calibration"] = str(work / "calibration.npz")
            common["inputs"] = [item.to_json() for item in product.inputs]

        def maker(way: Mapping[str, Any]) -> Maker:
            def make(folder: Path) -> Product:
                process.call(
                    "openvino_quantize",
                    {**common, **way, "out": str(folder / _XML)},
                    what="NNCF",
                    cwd=work,
                    timeout_s=request.timeout_s,
                    packages=libraries,
                )
                require_written(product.files, folder, "NNCF")
                return product

            return make

        makers = {name: maker(way) for name, way in ways.items()}
        enough = _HALF if request.precision == "int8" else 1.0
        return best_of(self, makers, request, out, work, progress, enough=enough)

    def _product(self, source: Path, cell: precision.Precision) -> Product:
        return unchanged_product(source, {"xml": _XML, "bin": _BIN}, cell, self.versions())
