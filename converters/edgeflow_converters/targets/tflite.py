"""TensorFlow Lite: an engine from ONNX to float32, ai-edge-quantizer from there to the other precisions.

The engines (tflite_engines.py) and the quantizer live in environments of their own. What onnx2tf writes as
fp16 and int8 does not load or is wrong, so it is not used.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from itertools import product as combinations
from pathlib import Path
from typing import Any

from edgeflow_converters import foreign, precision
from edgeflow_converters.arrays import load_sets, save_sets
from edgeflow_converters.base import ConvertRequest, Product, ProgressFn, ToolStatus
from edgeflow_converters.check import compare, tolerance_for
from edgeflow_converters.environments import environment
from edgeflow_converters.errors import ConverterFailed, ToolMissing, UnsupportedModel
from edgeflow_converters.inspect import ModelInfo, PortInfo, inspect_model
from edgeflow_converters.runners import process
from edgeflow_converters.targets import tflite_layouts
from edgeflow_converters.targets.best import Maker, best_of
from edgeflow_converters.targets.tflite_engines import DEFAULT_ENGINE, Engine, engines
from edgeflow_converters.tensors import TensorSpec

_MODEL = "model.tflite"
_RUNTIME = "ai-edge-litert"
_INSTALL_RUNTIME = "python -m pip install ai-edge-litert"
_SHRINKS_BELOW = 0.9
_WEIGHTS_ALONE = "weights alone, computed in fp32"
_MAX_TRIALS = 16

Ports = tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]


class TfliteConverter:
    """ONNX to a .tflite."""

    name = "tflite"
    rewrites: tuple[str, ...] = (
        "concat_of_constant_as_pad",
        "explicit_pad",
        "variadic_as_binary",
        "norms_of_computed_scale",
        "average_pool_of_padded",
        "rms_normalization_as_arithmetic",
        "state_of_every_run",
    )

    def __init__(self, tools_root: Path) -> None:
        self._engines = engines(tools_root)
        self._onnx2tf = self._engines[DEFAULT_ENGINE].environment
        self._quantizer = environment("ai-edge-quantizer", tools_root)

    def doctor(self) -> ToolStatus:
        if _runtime_version() is None:
            return ToolStatus("tflite", False, missing=f"the {_RUNTIME} package", fix=_INSTALL_RUNTIME)
        states = [tool.status() for tool in (self._onnx2tf, self._quantizer)]
        broken = [state for state in states if not state.ready]
        used = {**self._engines[DEFAULT_ENGINE].versions(), **self._versions_of_all()}
        told = ", ".join(f"{name} {value}" for name, value in used.items())
        return ToolStatus(
            "tflite",
            ready=not broken,
            version=f"by {told}",
            missing="; ".join(f"{state.name}: {state.missing}" for state in broken),
            fix="; ".join(state.fix for state in broken if not state.on_demand)
            or "edgeflow toolchain install onnx2tf ai-edge-quantizer",
            on_demand=all(state.on_demand for state in broken),
        )

    def versions(self) -> dict[str, str]:
        every = {name: text for engine in self._engines.values() for name, text in engine.versions().items()}
        return {**every, **self._versions_of_all()}

    def _versions_of_all(self) -> dict[str, str]:
        """What shapes a product whichever engine made it."""
        lock = self._quantizer.lock
        return {lock.name: f"{lock.version} (lock {lock.digest})", _RUNTIME: _runtime_version() or "none"}

    def requires(self, request: ConvertRequest, info: ModelInfo) -> None:
        """LiteRT to run the product with, and an interpreter for the converters."""
        if _runtime_version() is None:
            raise ToolMissing(f"tflite needs the {_RUNTIME} package", hint=_INSTALL_RUNTIME)
        needed = [self._engine(request).environment]
        if request.precision != "fp32":
            needed.append(self._quantizer)
        for state in (each.status() for each in needed):
            if not state.ready and not state.on_demand:
                raise ToolMissing(f"tflite {request.precision}: {state.missing}", hint=state.fix)

    def convert(self, request: ConvertRequest, out: Path, progress: ProgressFn) -> Product:
        """onnx2tf in a private folder, then the quantizer; `request.source` is the prepared model."""
        cell = precision.lookup(self.name, request.precision)
        info = inspect_model(request.source)
        work = out.parent / "onnx2tf"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        single = self._engine(request).to_float32(request, info, work, progress)
        ports = process.call(
            "tflite_ports", {"model": str(single)}, what="LiteRT", cwd=work, timeout_s=request.timeout_s
        )
        inputs, outputs = self._layouts(request, info, ports, single, work)
        whole = Product(
            files={"model": _MODEL},
            inputs=inputs,
            outputs=outputs,
            runtime_options={**cell.runtime_flags, **_without_engine(request.options)},
            weights_dtype=cell.weights_dtype,
            compute_dtype=cell.compute_dtype,
            tools={**self._engine(request).versions(), **self._versions_of_all()},
        )
        if request.precision == "fp32":
            shutil.copyfile(single, out / _MODEL)
            return whole
        if request.precision != "int8-dynamic":
            return self._quantized(request, request.precision, whole, single, ports, out, work, progress)

        def maker(kind: str, product: Product) -> Maker:
            return lambda folder: self._quantized(
                request, kind, product, single, ports, folder, work, progress
            )

        makers = {"activations as they come": maker("int8-dynamic", whole)}
        weights_alone = {_WEIGHTS_ALONE: maker("int8-weights", replace(whole, compute_dtype="fp32"))}
        return best_of(self, makers, request, out, work, progress, enough=1.0, fallbacks=weights_alone)

    def run(
        self, product: Product, folder: Path, samples: Path, result: Path, work: Path, timeout_s: float
    ) -> None:
        """Run the product over samples in a subprocess; see runners/tflite.py."""
        spec: dict[str, Any] = {
            "model": str(folder / product.files["model"]),
            "xnnpack": product.runtime_options["xnnpack"],
            "inputs": [item.to_json() for item in product.inputs],
            "outputs": [item.to_json() for item in product.outputs],
            "samples": str(samples),
            "result": str(result),
        }
        what = "LiteRT, running the converted model,"
        process.call("tflite", spec, what=what, cwd=work, timeout_s=timeout_s)

    def _engine(self, request: ConvertRequest) -> Engine:
        return self._engines[request.options.get("engine", DEFAULT_ENGINE)]

    def _layouts(
        self, request: ConvertRequest, info: ModelInfo, ports: dict[str, Any], single: Path, work: Path
    ) -> Ports:
        """How the tensors lie in the .tflite. Where shapes leave a choice, the values decide."""
        images = tflite_layouts.images(request.source)
        kept = {port.name for port in info.inputs} - images  # as the engine was told
        sides = [
            [_possible(port, found, kept) for port, found in _paired(mine, ports[side], ports["keys"])]
            for mine, side in ((info.inputs, "inputs"), (info.outputs, "outputs"))
        ]
        split = len(info.inputs)
        choices = list(combinations(*sides[0], *sides[1]))
        if len(choices) == 1:
            return choices[0][:split], choices[0][split:]
        if len(choices) > _MAX_TRIALS:
            raise UnsupportedModel(
                f"the layout of {request.source.name}'s tensors is ambiguous in {len(choices)} ways",
                hint="give the model sizes that differ from its channel counts, or use another runtime",
            )
        fits = [choice for choice in choices if self._computes_right(request, choice, split, single, work)]
        if len(fits) != 1:
            problem = (
                "none of its layouts computes what the model does"
                if not fits
                else (f"{len(fits)} layouts agree with the model on every sample")
            )
            raise UnsupportedModel(
                f"the layout of the tensors of the .tflite is ambiguous: {problem}",
                hint="give the recipe samples that differ along every axis, or use another runtime",
            )
        return fits[0][:split], fits[0][split:]

    def _computes_right(
        self, request: ConvertRequest, choice: tuple[TensorSpec, ...], split: int, single: Path, work: Path
    ) -> bool:
        """Whether the float32 .tflite, its tensors read in this way, agrees with the prepared model."""
        expected = work / "expected.npz"
        samples, got = work / "trial-samples.npz", work / "trial.npz"
        if not expected.is_file():
            save_sets(samples, request.samples)
            spec = {
                "model": str(request.source),
                "optimise": False,
                "samples": str(samples),
                "result": str(expected),
            }
            what = "ONNX Runtime, running the prepared model,"
            process.call("onnxruntime", spec, what=what, cwd=work, timeout_s=request.timeout_s)
        cell = precision.lookup(self.name, "fp32")
        trial = Product(
            {"model": single.name}, choice[:split], choice[split:], dict(cell.runtime_flags), "", "", {}
        )
        self.run(trial, single.parent, samples, got, work, request.timeout_s)
        return compare(load_sets(expected), load_sets(got), tolerance_for("fp32")).passed

    def _quantized(
        self,
        request: ConvertRequest,
        kind: str,
        whole: Product,
        single: Path,
        ports: dict[str, Any],
        folder: Path,
        work: Path,
        progress: ProgressFn,
    ) -> Product:
        """`whole`, the float32 product of the file `single`, made smaller in the way `kind` into `folder`."""
        python = self._quantizer.ensure(progress)
        progress(f"quantize to {request.precision}")
        made = folder / _MODEL
        spec: dict[str, Any] = {"model": str(single), "out": str(made), "kind": kind}
        if request.precision == "int8":
            if not ports["signature"]:
                raise ConverterFailed("onnx2tf gave the model no signature to calibrate it by")
            calibration = work / "calibration.npz"
            keys = ports["keys"]
            save_sets(
                calibration,
                [
                    {keys[spec.runtime_name]: spec.to_runtime(tensors[spec.name]) for spec in whole.inputs}
                    for tensors in request.calibration
                ],
            )
            spec.update(calibration=str(calibration), signature=ports["signature"])
        what = f"ai-edge-quantizer, making {request.precision},"
        answer = foreign.call(
            "quantize_tflite", python, spec, what=what, cwd=work, timeout_s=request.timeout_s
        )
        if not made.is_file():
            raise ConverterFailed("ai-edge-quantizer said success and wrote no model")
        found = process.call(
            "tflite_ports",
            {"model": str(made)},
            what="LiteRT, loading the quantized model,",
            cwd=work,
            timeout_s=request.timeout_s,
        )
        return replace(
            whole,
            inputs=_renamed(whole.inputs, ports["inputs"], found["inputs"]),
            outputs=_renamed(whole.outputs, ports["outputs"], found["outputs"]),
            notes=_said(request, kind, answer, made.stat().st_size / single.stat().st_size),
        )


def _without_engine(options: Mapping[str, Any]) -> dict[str, Any]:
    """What the runtime is told: the engine is the conversion's own affair."""
    return {name: value for name, value in options.items() if name != "engine"}


def _said(request: ConvertRequest, kind: str, answer: dict[str, Any], share: float) -> tuple[str, ...]:
    notes = []
    if request.precision == "int8":
        notes.append(f"ranges measured on {len(request.calibration)} real input sets")
    if request.precision in ("int8", "int8-dynamic"):
        if not answer["quantized"]:
            raise UnsupportedModel(
                f"{request.precision} would change nothing: none of the model's operators can be quantized",
                hint="use --precision fp32",
            )
        if kind == "int8-weights":
            notes.append(f"{answer['quantized']} of {answer['total']} operators have 8-bit weights")
        elif answer["floating"]:
            kinds = ", ".join(f"{count} {name}" for name, count in sorted(answer["floating"].items()))
            notes.append(
                f"{answer['quantized']} of {answer['total']} operators are quantized; in fp32 remain: {kinds}"
            )
    if share > _SHRINKS_BELOW:
        notes.append(f"the file hardly shrinks: {share:.0%} of fp32's")
    return tuple(notes)


def _paired(
    mine: tuple[PortInfo, ...], theirs: list[dict[str, Any]], keys: dict[str, str]
) -> list[tuple[PortInfo, dict[str, Any]]]:
    """The model's tensors with the .tflite's: by name where the signature kept the names, else in order.

    Should the order be another one, the numeric gate finds out.
    """
    if len(mine) != len(theirs):
        raise ConverterFailed(f"the .tflite has {len(theirs)} tensors where the model has {len(mine)}")
    by_name = {keys.get(found["name"], found["name"]): found for found in theirs}
    names = [port.name.replace(":", "__") for port in mine]
    if len(by_name) == len(theirs) and set(names) == set(by_name):
        return [(port, by_name[name]) for port, name in zip(mine, names, strict=True)]
    return list(zip(mine, theirs, strict=True))


def _possible(port: PortInfo, found: dict[str, Any], kept: Collection[str]) -> list[TensorSpec]:
    """What the tensor can be, the likelier first; one of `kept` has the axes of the model, if these fit.
    Raises UnsupportedModel if it cannot be the model's."""
    if -1 in found["shape"]:
        raise ConverterFailed(f"tensor {found['name']!r} of the .tflite has a free axis: {found['shape']}")
    shape = tuple(size for size in port.shape if isinstance(size, int))
    perms = tflite_layouts.candidates(port.name, shape, found["shape"])
    runtime_shape = tuple(found["shape"])
    if port.name in kept and None in perms:
        perms = [None]
    return [
        TensorSpec(port.name, found["dtype"], shape, found["name"], runtime_shape, perm) for perm in perms
    ]


def _renamed(
    specs: tuple[TensorSpec, ...], before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> tuple[TensorSpec, ...]:
    """The specs with the quantized model's names: an output that is widened again is called X_dequant."""
    names = {}
    for old, new in zip(before, after, strict=True):
        same = (old["dtype"], old["shape"]) == (new["dtype"], new["shape"])
        if not same or not new["name"].startswith(old["name"]):
            raise ConverterFailed(f"ai-edge-quantizer made {new} of the model's tensor {old}")
        names[old["name"]] = new["name"]
    return tuple(replace(spec, runtime_name=names[spec.runtime_name]) for spec in specs)


def _runtime_version() -> str | None:
    try:
        return version(_RUNTIME)
    except PackageNotFoundError:
        return None
