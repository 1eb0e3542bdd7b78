"""SNPE: a QAIRT .dlc, by Qualcomm's SDK where there is one (snpe_sdk.py), else by ONNX Runtime's QNN.

Without the SDK, what comes out is a "QAIRT DLC v4 written by the QNN IR backend; not verified with SNPE or on
hardware". Its structure is read back in pure Python, and the very ONNX graph that it was written from runs on
the x86 emulator of Qualcomm's HTP, wholly there, against ONNX Runtime. The provider lives in an environment
of its own.
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeflow_converters import foreign, precision
from edgeflow_converters.arrays import save_sets
from edgeflow_converters.base import ConvertRequest, Product, ProgressFn, ToolStatus
from edgeflow_converters.dlc import Dlc, read_dlc
from edgeflow_converters.environments import environment
from edgeflow_converters.errors import ConverterFailed, ToolMissing, UnsupportedModel
from edgeflow_converters.inspect import ModelInfo, inspect_model
from edgeflow_converters.precision import Precision
from edgeflow_converters.runners import process
from edgeflow_converters.targets import snpe_sdk
from edgeflow_converters.targets.best import Maker, best_of
from edgeflow_converters.targets.unchanged import unchanged_product

LOCK = "onnxruntime-qnn"
WHAT_IT_IS = "QAIRT DLC v4 written by the QNN IR backend; not verified with SNPE or on hardware"
_DLC, _GRAPH, _EMULATOR = "model.dlc", "graph.onnx", "emulator.json"
_OLDEST_GLIBC = (2, 35)
_METHODS = {"minmax": "MinMax", "percentile": "Percentile", "entropy": "Entropy"}
_HALF = 0.5
_ELSEWHERE = "convert on x86-64 Linux with glibc 2.35 or newer"

# A generation of the HTP -> a chip that has one (QnnHtpDevice.h and Qualcomm's list of supported chips).
HTP: Mapping[str, str] = {"v69": "36", "v73": "43", "v75": "57", "v79": "69"}
# Float32 is computed as such by the oldest HTP's emulator alone, which needs no chip's name; later ones have
# half precision and integers, prepare more graphs, and run them faster.
_IN_FLOAT32 = {"enable_htp_fp16_precision": "0"}
_AS_ON_CHIPS = {"htp_arch": "73", "soc_model": HTP["v73"]}
_SAMPLES_BUDGET_S = 60.0
"""The emulator is slow: after so long no further sample is begun. One always is."""


class SnpeConverter:
    """ONNX to .dlc."""

    name = "snpe"
    rewrites: tuple[str, ...] = ("single_step_lstm", "hard_sigmoid_as_arithmetic")
    may_run_fewer_samples = True

    def __init__(self, tools_root: Path) -> None:
        self._tools_root = tools_root
        self._qnn = environment(LOCK, tools_root)

    def doctor(self) -> ToolStatus:
        why = _unfit_host()
        if why:
            return ToolStatus("snpe", False, missing=why, fix=_ELSEWHERE)
        state = self._qnn.status()
        try:
            snpe_sdk.find()
        except ToolMissing as error:  # a variable that names no SDK
            return ToolStatus("snpe", False, missing=error.message, fix=error.hint)
        told = f"by {', '.join(f'{name} {value}' for name, value in self.versions().items())}"
        return replace(state, name="snpe", version=told)

    def versions(self) -> dict[str, str]:
        lock = self._qnn.lock
        own = {lock.name: f"{lock.version} (lock {lock.digest})"}
        sdk = snpe_sdk.find()
        return own if sdk is None else {**own, "Qualcomm's SDK": sdk.version}

    def requires(self, request: ConvertRequest, info: ModelInfo) -> None:
        """A machine that the provider has wheels for, and an interpreter for it."""
        why = _unfit_host()
        if why:
            raise ToolMissing(f"snpe: {why}", hint=_ELSEWHERE)
        state = self._qnn.status()
        if not state.ready and not state.on_demand:
            raise ToolMissing(f"snpe: {state.missing}", hint=state.fix)

    def convert(self, request: ConvertRequest, out: Path, progress: ProgressFn) -> Product:
        cell = precision.lookup(self.name, request.precision)
        options = whole_options(request.options)
        self._qnn.ensure(progress)
        work = out.parent / "qnn"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        product = self._graph(request, cell, options, out, work, progress)
        sdk = snpe_sdk.find()
        if sdk is None:
            dlc = self._by_provider(request, out, work, progress)
            made = f"{WHAT_IT_IS} (QAIRT {dlc.producer}, {len(dlc.ops)} operators)"
        else:
            progress(f"convert with {sdk.converter}")
            bits = options["activations"]
            snpe_sdk.convert(sdk, request, out / _DLC, work, activations=bits)
            made = f"written by {sdk.converter} of Qualcomm's SDK {sdk.version}; verified by its ONNX graph"
        contexts = {}
        for generation in options["htp"]:
            progress(f"compile for HTP {generation}")
            contexts[f"htp-{generation}"] = file = f"htp-{generation}.onnx"
            spec = {"model": str(out / _GRAPH), "out": str(out / file), "arch": generation.removeprefix("v")}
            self._call("context", {**spec, "soc": HTP[generation]}, work, request.timeout_s)
        return replace(
            product, files={**product.files, "model": _DLC, **contexts}, notes=(*product.notes, made)
        )

    def run(
        self, product: Product, folder: Path, samples: Path, result: Path, work: Path, timeout_s: float
    ) -> None:
        """Executes the .dlc's graph on the HTP emulator: all of `samples`, or as many as its time allows."""
        spec = {
            "model": str(folder / product.files["graph"]),
            "options": json.loads((folder / product.files["emulator"]).read_text()),
            "samples": str(samples),
            "result": str(result),
            "budget_s": _SAMPLES_BUDGET_S,
        }
        try:
            self._call("run", spec, work, timeout_s)
        except UnsupportedModel as error:
            in_float32 = spec["options"] == _IN_FLOAT32
            hint = "use --precision fp16" if in_float32 else "use another runtime"
            raise UnsupportedModel(
                f"the .dlc cannot be verified: {error.message}", hint=error.hint or hint, log=error.log
            ) from error

    def _graph(
        self,
        request: ConvertRequest,
        cell: Precision,
        options: Mapping[str, Any],
        out: Path,
        work: Path,
        progress: ProgressFn,
    ) -> Product:
        """Writes the ONNX graph that becomes the .dlc, and how the emulator runs it."""
        provider = _IN_FLOAT32 if request.precision == "fp32" else _AS_ON_CHIPS
        spec = {"model": str(request.source), "out": str(out / _GRAPH)}
        if request.precision == "int8":
            product = self._quantized(request, cell, options, out, work, progress)
        else:
            if request.precision == "fp16":
                progress("store as fp16")
                self._call("half", spec, work, request.timeout_s)
            else:
                shutil.copyfile(request.source, out / _GRAPH)
            product = self._product(request, cell)
        (out / _EMULATOR).write_text(json.dumps(provider) + "\n")
        return product

    def _quantized(
        self,
        request: ConvertRequest,
        cell: Precision,
        options: Mapping[str, Any],
        out: Path,
        work: Path,
        progress: ProgressFn,
    ) -> Product:
        """In QDQ form, with ranges found in the way that ONNX Runtime's CPU provider likes best."""
        save_sets(work / "calibration.npz", request.calibration)
        bits = options["activations"]
        product = self._product(request, replace(cell, compute_dtype=f"int8 weights, {bits}-bit activations"))

        def maker(method: str) -> Maker:
            def make(folder: Path) -> Product:
                spec = {
                    "model": str(request.source),
                    "out": str(folder / _GRAPH),
                    "calibration": str(work / "calibration.npz"),
                    "activations": bits,
                    "method": method,
                }
                self._call("quantize", spec, work, request.timeout_s)
                return replace(product, files={"graph": _GRAPH})

            return make

        makers = {name: maker(method) for name, method in _METHODS.items()}
        simulated = _OnTheCpu(self._tools_root)
        chosen = best_of(simulated, makers, request, out, work, progress, enough=_HALF)
        return replace(chosen, files=product.files)

    def _by_provider(self, request: ConvertRequest, out: Path, work: Path, progress: ProgressFn) -> Dlc:
        """Writes the .dlc and reads its structure back. Raises UnsupportedModel, ConverterFailed."""
        progress("qnn")
        folder = work / "dlc"
        folder.mkdir()
        answer = self._call("dlc", {"model": str(out / _GRAPH), "out": str(folder)}, work, request.timeout_s)
        (folder / answer["file"]).rename(out / _DLC)
        (out / _DLC).chmod(0o644)
        dlc = read_dlc(out / _DLC)
        info = inspect_model(request.source)
        for kind, ports in (("input", info.inputs), ("output", info.outputs)):
            told = sorted((tensor.name, tensor.shape) for tensor in dlc.of_kind(kind))
            if told != sorted((port.name, port.shape) for port in ports):
                raise ConverterFailed(
                    f"the .dlc's {kind}s are {told}, the model's {[(p.name, p.shape) for p in ports]}"
                )
        return dlc

    def _product(self, request: ConvertRequest, cell: Precision) -> Product:
        files = {"graph": _GRAPH, "emulator": _EMULATOR}
        return unchanged_product(request.source, files, cell, self.versions())

    def _call(self, task: str, spec: Mapping[str, Any], work: Path, timeout_s: float) -> dict[str, Any]:
        return foreign.call(
            "qnn",
            self._qnn.python,
            {"task": task, **spec},
            what="ONNX Runtime's QNN provider",
            cwd=work,
            timeout_s=timeout_s,
        )


class _OnTheCpu(SnpeConverter):
    """Runs a QDQ graph by ONNX Runtime's CPU provider, which rounds as the graph says."""

    def run(
        self, product: Product, folder: Path, samples: Path, result: Path, work: Path, timeout_s: float
    ) -> None:
        spec = {
            "model": str(folder / product.files["graph"]),
            "optimise": False,
            "samples": str(samples),
            "result": str(result),
        }
        what = "ONNX Runtime, running the quantized graph,"
        process.call("onnxruntime", spec, what=what, cwd=work, timeout_s=timeout_s)


def whole_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of this target with their defaults: `activations` (bits, of int8), `htp` (generations to
    compile for). options.py has checked them."""
    return {"activations": 8, "htp": (), **given}


def _unfit_host() -> str:
    """Why the provider cannot run here; "" where it can."""
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "AMD64"):
        return f"{LOCK} is published for x86-64 Linux, this is {platform.system()} {platform.machine()}"
    name, found = platform.libc_ver()
    numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    if name != "glibc" or numbers < _OLDEST_GLIBC:
        return f"{LOCK} needs glibc 2.35 or newer, this system has {name or 'another libc'} {found}".rstrip()
    return ""
