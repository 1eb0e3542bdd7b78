"""convert(): from a model file to a verified artifact in the cache."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_converters import digest, options, precision, structure
from edgeflow_converters.acceptance import is_constant, require_expressible
from edgeflow_converters.arrays import load_sets, save_sets
from edgeflow_converters.artifact import read_artifact, write_artifact
from edgeflow_converters.base import Artifact, Converter, ConvertRequest, Product, ProgressFn, require_written
from edgeflow_converters.cache import FULL_BELOW_BYTES, Cache, says_full
from edgeflow_converters.check import Tolerance, Verdict, compare, tolerance_for
from edgeflow_converters.errors import (
    CacheUnwritable,
    CalibrationMissing,
    ConverterFailed,
    ConvertError,
    ConverterTimeout,
    NumericsDisagree,
    PrecisionOutOfReach,
    ShapeMismatch,
    UnsupportedModel,
    Unverifiable,
)
from edgeflow_converters.inspect import ModelInfo
from edgeflow_converters.inspect_cache import inspect_cached
from edgeflow_converters.needs import needs_of, verified_by
from edgeflow_converters.paddle.read import parameters_of
from edgeflow_converters.phases import Phases
from edgeflow_converters.prepare import wanted_by
from edgeflow_converters.reference import reference_outputs
from edgeflow_converters.runners import process
from edgeflow_converters.sensitivity import amplification
from edgeflow_converters.shapes import pinned_shapes, require_samples_fit
from edgeflow_converters.stored_weights import require_the_models_weights
from edgeflow_converters.targets import get_target

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeflow_converters.tensors import Tensors

# Part of every artifact's key: raise it when a change here makes other artifacts of the same request.
CONVERTER_VERSION = "5"

CALIBRATED = "int8"
"""The precision that needs calibration inputs."""

_RANDOM_OPS = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
)


def convert(
    request: ConvertRequest,
    cache_root: Path,
    progress: ProgressFn,
    *,
    tools_root: Path | None = None,
) -> Artifact:
    """The verified artifact for `request`, from the cache or made now.

    `progress` gets the name of each phase as it begins. External tools are looked for, and fetched into,
    `tools_root` (default: `cache_root`/tools).

    Raises a ConvertError: UnknownTarget and NotOffered for the runtime, precision and options,
    ModelUnreadable, ShapeMismatch and UnsupportedModel for the model, CalibrationMissing for int8 without
    real inputs,
    ToolMissing, ConverterFailed, NumericsDisagree when the product is not what the model is, CacheUnwritable.
    Nothing is committed unless it is verified.
    """
    precision.lookup(request.runtime, request.precision)
    request = replace(request, options=options.checked(request.runtime, request.options))
    phases = Phases(progress)
    phases.begin("inspect")
    cache = Cache(cache_root)
    info = inspect_cached(request.source, cache)
    if not request.samples:
        raise ShapeMismatch(
            "no samples were given to verify the product with", hint="give at least one input set"
        )
    pins = structure.pinned_values(request.source, info.inputs, (*request.samples, *request.calibration))
    shapes = pinned_shapes(
        [port for port in info.inputs if port.name not in pins],
        {name: shape for name, shape in request.input_shapes.items() if name not in pins},
    )
    whole = {**shapes, **{name: value.shape for name, value in pins.items()}}
    require_samples_fit(request.samples, info.inputs, whole)
    if request.precision == CALIBRATED:
        _require_calibration(request)
        require_samples_fit(request.calibration, info.inputs, whole)
    _require_deterministic(info)
    target = get_target(request.runtime, tools_root or cache_root / "tools")
    target.requires(request, info)

    tolerance = request.tolerance or tolerance_for(request.precision)
    key = artifact_key(request, info, shapes, target, tolerance)
    found = cache.find("artifact", key)
    if found is not None:
        return replace(read_artifact(found, cached=True), phases_ns=phases.finished())

    with cache.alone(key, lambda: progress("wait for another process that converts this model")):
        found = cache.find("artifact", key)  # it may have been made while we waited
        if found is not None:
            return replace(read_artifact(found, cached=True), phases_ns=phases.finished())
        with cache.workspace() as work:
            judged = _with_pins(request, pins, work)
            require_expressible(judged.source, request.runtime, shapes)
            phases.begin("reference")
            reference = reference_outputs(
                request.source, info.sha256, request.samples, cache, timeout_s=request.timeout_s
            )
            _require_right_reference(request, reference, tolerance)
            job = _Job(judged, info, pins, shapes, target, tolerance, reference, work, progress, phases)
            folder = cache.build("artifact", key, lambda out: job.write(key, out))
        return replace(read_artifact(folder, cached=False), phases_ns=phases.finished())


@dataclass(frozen=True, slots=True)
class _Job:
    """One conversion after its request was checked. `request` is without the inputs of `pins`, which are
    constants of its source; `info` is the original's; `work` is scratch space."""

    request: ConvertRequest
    info: ModelInfo
    pins: Mapping[str, NDArray[Any]]
    shapes: dict[str, tuple[int, ...]]
    target: Converter
    tolerance: Tolerance
    reference: Sequence[dict[str, NDArray[Any]]]
    work: Path
    progress: ProgressFn
    phases: Phases

    def write(self, key: str, out: Path) -> None:
        """Fill `out` with the product's files and artifact.json."""
        save_sets(self._samples, self.request.samples)
        save_sets(self.work / "reference.npz", self.reference)
        # Simplifying helps most models and breaks a few (a GRU that ncnn then cannot load): the first
        # variant that verifies is kept, and if none does, the first one's diagnosis counts.
        failure: ConverterFailed | UnsupportedModel | NumericsDisagree | None = None
        for simplify in (True, False):
            folder = self.work / ("simplified" if simplify else "plain")
            folder.mkdir()
            try:
                prepared, notes = self._prepare(folder, simplify=simplify)
                product, verdict = self._convert_and_verify(prepared, folder)
            except (ConverterFailed, UnsupportedModel, NumericsDisagree) as error:
                _require_space(self.work, error)
                if isinstance(error, ConverterTimeout | PrecisionOutOfReach):
                    raise  # another variant of the model would end the same
                failure = failure or error
                continue
            if failure is not None:
                notes = [f"not simplified: the simplified model failed ({failure.message})", *notes]
            self._commit(key, out, folder / "product", product, verdict, notes)
            return
        assert failure is not None
        raise failure

    @property
    def _samples(self) -> Path:
        return self.work / "samples.npz"

    def _prepare(self, folder: Path, *, simplify: bool) -> tuple[ConvertRequest, list[str]]:
        """The request for the prepared model, with its inputs in the types that this one takes, and notes."""
        self.phases.begin("prepare")
        prepared = folder / "prepared.onnx"
        spec = {
            "source": str(self.request.source.resolve()),
            "out": str(prepared),
            "shapes": self.shapes,
            "samples": str(self._samples),
            "reference": str(self.work / "reference.npz"),
            "simplify": simplify,
            **wanted_by(self.request.runtime, self.target.rewrites),
        }
        what = f"preparing {self.request.source.name}"
        answer = process.call("prepare", spec, what=what, cwd=folder, timeout_s=self.request.timeout_s)
        self.phases.move(answer["trial_ns"], "try")
        dtypes = answer["input_dtypes"]
        samples, calibration = (
            [{name: sample[name].astype(dtype) for name, dtype in dtypes.items()} for sample in sets]
            for sets in (self.request.samples, self.request.calibration)
        )
        notes = [f"input {name!r} is the constant {array.tolist()}" for name, array in self.pins.items()]
        request = replace(self.request, source=prepared, samples=samples, calibration=calibration)
        return request, [*notes, *answer["notes"]]

    def _convert_and_verify(self, prepared: ConvertRequest, folder: Path) -> tuple[Product, Verdict]:
        self.phases.begin("convert")
        require_expressible(prepared.source, self.request.runtime, self.shapes, prepared=True)
        out = folder / "product"
        out.mkdir()
        try:
            product = self._as_the_model(self.target.convert(prepared, out, self.progress))
            require_written(product.files, out, f"the converter of {self.request.runtime}")
            self.phases.begin("verify")
            require_the_models_weights(self.request.runtime, product, out, prepared.source, folder)
            runs, result = folder / "runs.npz", folder / "outputs.npz"
            # At least two, so that a product which keeps something from run to run is seen.
            samples = self.request.samples
            save_sets(runs, samples if len(samples) > 1 else [*samples, *samples])
            self.target.run(product, out, runs, result, folder, self.request.timeout_s)
        except (ConverterFailed, UnsupportedModel) as error:
            raise self._about_the_model(self._blamed(error, prepared, folder)) from error
        outputs, reference = load_sets(result), self.reference
        if 0 < len(outputs) < len(reference) and getattr(self.target, "may_run_fewer_samples", False):
            reference = reference[: len(outputs)]
            told = f"verified with {len(outputs)} of {len(self.reference)} samples: more would take too long"
            product = replace(product, notes=(*product.notes, told))
        verdict = self._compared(reference, outputs)
        if verdict.blind and is_constant(self.request.source, self.shapes):
            told = "every output is a constant of the model, whatever its inputs hold"
            verdict = replace(verdict, passed=True, reasons=(), warnings=(*verdict.warnings, told))
        if verdict.blind:
            raise Unverifiable(
                f"{self.request.runtime} {self.request.precision} of {self.request.source.name} cannot be "
                f"verified: {verdict.reasons[0]}",
                hint="give the recipe samples whose answers differ",
                log="\n".join(verdict.warnings),
            )
        if not verdict.passed:
            cause = amplification(
                self.request.source,
                self.request.samples,
                self.reference,
                self.tolerance,
                product.weights_dtype,
                work=folder,
                timeout_s=self.request.timeout_s,
            )
            error_class = PrecisionOutOfReach if cause else NumericsDisagree
            raise error_class(
                f"{self.request.runtime} {self.request.precision} of {self.request.source.name} disagrees "
                f"with ONNX Runtime: {verdict.reasons[0]}",
                hint=cause
                or f"nothing was kept; `edgeflow convert … --runtime {self.request.runtime} --precision "
                f"{self.request.precision} --explain` names the node to blame; or try {self._way_out()}",
                log="\n".join((*verdict.reasons, *verdict.warnings)),
            )
        return product, verdict

    def _compared(
        self, reference: Sequence[dict[str, NDArray[Any]]], outputs: Sequence[dict[str, NDArray[Any]]]
    ) -> Verdict:
        """What the gate says of `outputs`: those for `reference`, and one more if that is of a single run."""
        count, top1 = len(reference), self.request.top1_outputs
        verdict = compare(reference, outputs[:count], self.tolerance, top1_outputs=top1)
        if verdict.passed and len(outputs) > count:
            again = compare(reference, outputs[count:], self.tolerance, top1_outputs=top1)
            if not again.passed:
                return replace(
                    again, reasons=tuple(f"run again on the same input, {each}" for each in again.reasons)
                )
        return verdict

    def _as_the_model(self, product: Product) -> Product:
        """The product, whose outputs come in the types that the original gives."""
        dtypes = {port.name: port.dtype for port in self.info.outputs}
        outputs = tuple(
            spec if spec.dtype == dtypes[spec.name] else replace(spec, source_dtype=dtypes[spec.name])
            for spec in product.outputs
        )
        return replace(product, outputs=outputs)

    def _blamed(
        self, error: ConverterFailed | UnsupportedModel, prepared: ConvertRequest, folder: Path
    ) -> ConverterFailed | UnsupportedModel:
        """The error of a tool that broke, with the node that it breaks on."""
        if not isinstance(error, ConverterFailed) or isinstance(error, ConverterTimeout):
            return error
        from edgeflow_converters.explain.breaking import breaking_node

        self.progress("look for the node that it breaks on")
        try:
            node = breaking_node(prepared, self.target, folder / "breaking")
        except (ConvertError, OSError):
            return error  # which says what happened; this was to say where
        if not node:
            return error
        blamed = ConverterFailed(f"{error.message}; it breaks on {node}", hint=error.hint, log=error.log)
        blamed.node = node
        return blamed

    def _about_the_model(self, error: ConverterFailed | UnsupportedModel) -> ConvertError:
        """A tool's failure with what it was about, and what to do next."""
        told = type(error)(
            f"{self.request.runtime} {self.request.precision} of {self.request.source.name}: {error.message}",
            hint=error.hint or f"run again with --debug to see its log, or try {self._way_out()}",
            log=error.log,
        )
        if isinstance(error, ConverterFailed) and isinstance(told, ConverterFailed):
            told.node = error.node
        return told

    def _way_out(self) -> str:
        if self.request.tolerance is not None and self.request.tolerance != tolerance_for(
            self.request.precision
        ):
            return "the built-in tolerances: the recipe sets its own"
        return "another runtime" if self.request.precision == "fp32" else "fp32, or another runtime"

    def _commit(
        self, key: str, out: Path, folder: Path, product: Product, verdict: Verdict, notes: Sequence[str]
    ) -> None:
        self.phases.begin("commit")
        for name in product.files.values():
            (folder / name).rename(out / name)
        tools = {**_tool_versions(), **product.tools}
        runtime = self.request.runtime
        artifact = Artifact(
            path=out,
            key=key,
            runtime=runtime,
            precision=self.request.precision,
            weights_dtype=product.weights_dtype,
            compute_dtype=product.compute_dtype,
            source_sha256=self.info.sha256,
            files=product.files,
            sha256={role: digest.of_file(out / name) for role, name in product.files.items()},
            size_bytes=sum((out / name).stat().st_size for name in product.files.values()),
            inputs=product.inputs,
            outputs=product.outputs,
            runtime_options=product.runtime_options,
            tools=tools,
            notes=(*notes, *product.notes),
            verdict=verdict,
            cached=False,
            needs=needs_of(runtime, out, product.files, verified_by(runtime, tools)),
            pinned={name: array.tolist() for name, array in self.pins.items()},
            origin=self.request.origin,
        )
        write_artifact(artifact, out)


def _with_pins(request: ConvertRequest, pins: Mapping[str, NDArray[Any]], work: Path) -> ConvertRequest:
    """The request for the model with `pins` as constants, under the name of the original."""
    if not pins:
        return request
    folder = work / "pinned"
    folder.mkdir()
    source = folder / request.source.name
    structure.write_pinned(request.source, pins, source)
    samples, calibration = (
        [structure.without(sample, pins) for sample in sets]
        for sets in (request.samples, request.calibration)
    )
    return replace(request, source=source, samples=samples, calibration=calibration)


def _require_space(work: Path, error: ConvertError) -> None:
    """A tool that fails on a full disk blames the model, or nothing: look for ourselves."""
    if shutil.disk_usage(work).free < FULL_BELOW_BYTES or says_full(error.log):
        raise CacheUnwritable(
            f"no space left in {work.parent} to convert in", hint="free some space and try again"
        ) from error


def _require_calibration(request: ConvertRequest) -> None:
    if request.calibration:
        return
    hint = "give the recipe real inputs: samples, or calibration: {data: FOLDER}"
    if (request.runtime, "int8-dynamic") in precision.OFFERED:
        hint += "; or use --precision int8-dynamic, which needs none"
    raise CalibrationMissing(
        f"{request.runtime} {request.precision} of {request.source.name} needs real inputs to calibrate "
        "with, and there are none",
        hint=hint,
    )


def _require_deterministic(info: ModelInfo) -> None:
    random = sorted(_RANDOM_OPS & set(info.op_counts))
    if random:
        raise UnsupportedModel(
            f"{info.path} draws random numbers ({random[0]}): its outputs cannot be compared",
            hint="make the random values an input of the model",
        )


def _require_right_reference(
    request: ConvertRequest, reference: Sequence[Tensors], tolerance: Tolerance
) -> None:
    """Raises UnsupportedModel where ONNX Runtime computes another answer than the one that is known."""
    if not request.expected:
        return
    verdict = compare(request.expected, reference[: len(request.expected)], tolerance)
    if verdict.reasons and not verdict.blind:
        raise UnsupportedModel(
            f"{request.source.name} cannot be verified: ONNX Runtime itself gives another answer than the "
            f"one that is known to be right: {verdict.reasons[0]}",
            hint="try another version of the model's operators, or another version of onnxruntime",
        )


def _program(request: ConvertRequest) -> dict[str, list[str]]:
    """The files that Paddle Lite takes straight in: other artifacts stay what they are without them."""
    if request.program is None or request.runtime != "paddlelite":
        return {}
    files = (request.program, parameters_of(request.program))
    return {"program": [digest.of_file(path) for path in files if path.is_file()]}


def _tool_versions() -> dict[str, str]:
    return {name: version(name) for name in ("onnx", "onnxsim", "onnxruntime")}


def artifact_key(
    request: ConvertRequest,
    info: ModelInfo,
    shapes: dict[str, tuple[int, ...]],
    target: Converter,
    tolerance: Tolerance,
) -> str:
    """What an artifact is found by: the hash of all that shapes it, or what is demanded of it."""
    # Only where it shapes the product: other artifacts stay valid when the calibration data changes.
    cell = precision.lookup(request.runtime, request.precision)
    calibration = (
        {"calibration": digest.of_samples(request.calibration)} if request.precision == CALIBRATED else {}
    )
    return digest.of_json(
        {
            "converter": CONVERTER_VERSION,
            "source": info.sha256,
            "shapes": {name: list(shape) for name, shape in shapes.items()},
            "runtime": request.runtime,
            "precision": [request.precision, cell.weights_dtype, cell.compute_dtype],
            "flags": dict(cell.runtime_flags),
            "options": dict(request.options),
            "tools": {**_tool_versions(), **target.versions()},
            "prepared": wanted_by(request.runtime, target.rewrites),
            "samples": digest.of_samples(request.samples),
            "tolerance": tolerance.to_json(),
            "top1_outputs": list(request.top1_outputs),
            **({"expected": digest.of_samples(request.expected)} if request.expected else {}),
            **calibration,
            **_program(request),
            **({} if request.origin is None else {"origin": dict(request.origin)}),
        }
    )
