"""ONNX Runtime: the prepared ONNX file itself; in fp16, with its weights stored as float16; in 8 bits, by
ONNX Runtime's own quantizer, with each of its calibration methods until one agrees."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path

from edgeflow_converters import precision
from edgeflow_converters.arrays import save_sets
from edgeflow_converters.base import ConvertRequest, Product, ProgressFn, ToolStatus, require_written
from edgeflow_converters.inspect import ModelInfo
from edgeflow_converters.runners import process
from edgeflow_converters.targets.best import Maker, best_of
from edgeflow_converters.targets.unchanged import unchanged_product

_MODEL = "model.onnx"


class OnnxruntimeConverter:
    """ONNX to ONNX, pinned and simplified."""

    name = "onnxruntime"
    rewrites: tuple[str, ...] = ()

    def doctor(self) -> ToolStatus:
        return ToolStatus("onnxruntime", ready=True, version=version("onnxruntime"))

    def versions(self) -> dict[str, str]:
        return {"onnxruntime": version("onnxruntime")}

    def requires(self, request: ConvertRequest, info: ModelInfo) -> None:
        """Nothing beyond what the reference run asks for: it is the same runtime."""

    def convert(self, request: ConvertRequest, out: Path, progress: ProgressFn) -> Product:
        cell = precision.lookup(self.name, request.precision)
        if cell.weights_dtype == "int8":
            return self._quantized(request, cell, out, progress)
        notes: tuple[str, ...] = ()
        if cell.weights_dtype == "fp16":
            progress("store weights as fp16")
            spec = {"source": str(request.source), "out": str(out / _MODEL)}
            what = "storing weights as fp16"
            answer = process.call(
                "half_weights", spec, what=what, cwd=out.parent, timeout_s=request.timeout_s
            )
            if answer["islands"]:
                notes = (f"these weights stay fp32, they do not fit fp16: {', '.join(answer['islands'])}",)
        else:
            shutil.copyfile(request.source, out / _MODEL)
        return self._product(request.source, cell, notes)

    def _quantized(
        self, request: ConvertRequest, cell: precision.Precision, out: Path, progress: ProgressFn
    ) -> Product:
        work = out.parent / "quantize"
        work.mkdir()
        spec = {"source": str(request.source)}
        ways: tuple[str, ...] = ("dynamic",)
        if request.precision == "int8":
            ways = ("minmax", "percentile", "entropy")
            spec["calibration"] = str(work / "calibration.npz")
            save_sets(work / "calibration.npz", request.calibration)

        def maker(way: str) -> Maker:
            def make(folder: Path) -> Product:
                process.call(
                    "onnxruntime_quantize",
                    {**spec, "out": str(folder / _MODEL), "method": way},
                    what="ONNX Runtime's quantizer",
                    cwd=work,
                    timeout_s=request.timeout_s,
                )
                product = self._product(request.source, cell, ())
                require_written(product.files, folder, "ONNX Runtime's quantizer")
                return product

            return make

        return best_of(self, {way: maker(way) for way in ways}, request, out, work, progress, enough=1.0)

    def _product(self, source: Path, cell: precision.Precision, notes: tuple[str, ...]) -> Product:
        return unchanged_product(source, {"model": _MODEL}, cell, self.versions(), notes=notes)

    def run(
        self, product: Product, folder: Path, samples: Path, result: Path, work: Path, timeout_s: float
    ) -> None:
        """Run the product over samples in a subprocess; see runners/onnxruntime.py."""
        spec = {
            "model": str(folder / product.files["model"]),
            "optimise": True,
            "samples": str(samples),
            "result": str(result),
        }
        what = "ONNX Runtime, running the converted model,"
        process.call("onnxruntime", spec, what=what, cwd=work, timeout_s=timeout_s)
