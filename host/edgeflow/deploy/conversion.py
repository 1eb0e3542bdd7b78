"""From a resolved model to a verified artifact, with the converters' errors told in edgeflow's terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeflow.converter_errors import converter_errors
from edgeflow.deploy import null_model
from edgeflow.toolchain.targets import NULL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgeflow.deploy.resolve import ResolvedModel
    from edgeflow.inputs.samples import Sample
    from edgeflow.progress import Progress
    from edgeflow.workspace import Workspace
    from edgeflow_converters.base import Artifact, ConvertRequest
    from edgeflow_converters.check import Tolerance
    from edgeflow_converters.tensors import Tensors

_REFERENCE_TIMEOUT_S = 600.0


def check_target(runtime: str, precision: str) -> None:
    """Raises UsageError, listing the known ones, unless this runtime offers this precision."""
    from edgeflow_converters.precision import lookup

    if runtime == NULL:
        null_model.check_precision(precision)
        return
    with converter_errors():
        lookup(runtime, precision)


def tolerance_of(model: ResolvedModel, precision: str) -> Tolerance:
    """The table's tolerance for the precision, with what the recipe overrides."""
    from dataclasses import replace

    from edgeflow_converters.check import tolerance_for

    tolerance = tolerance_for(precision)
    override = model.recipe.tolerances.get(precision)
    if override is None:
        return tolerance
    given = {name: value for name, value in override.model_dump().items() if value is not None}
    return replace(tolerance, **given)


def make_artifact(
    model: ResolvedModel,
    runtime: str,
    precision: str,
    samples: Sequence[Sample],
    workspace: Workspace,
    progress: Progress,
    options: Mapping[str, Any] | None = None,
) -> Artifact:
    """Converts, or takes from the cache; the product was loaded, run and compared before it counts.

    `options` of the conversion go before the recipe's own.

    Raises ConversionError, NumericsError, ToolMissingError, UsageError.
    """
    from edgeflow_converters.pipeline import convert

    if runtime == NULL:
        return null_model.artifact_of(model, samples)
    request = request_of(model, runtime, precision, samples, options)
    with converter_errors():
        return convert(
            request,
            cache_root=workspace.cache_dir,
            tools_root=workspace.tools_dir,
            progress=lambda phase: progress.step(f"convert {model.name} to {runtime} {precision}: {phase}"),
        )


def request_of(
    model: ResolvedModel,
    runtime: str,
    precision: str,
    samples: Sequence[Sample],
    options: Mapping[str, Any] | None = None,
) -> ConvertRequest:
    """What the converters are asked for; `options` as in make_artifact."""
    from edgeflow_converters.base import ConvertRequest

    return ConvertRequest(
        source=model.source,
        runtime=runtime,
        precision=precision,
        input_shapes={name: spec.shape for name, spec in model.recipe.inputs.items()},
        samples=[sample.tensors for sample in samples],
        tolerance=tolerance_of(model, precision),
        top1_outputs=score_outputs(model),
        calibration=_calibration(model, precision),
        options={**model.recipe.conversion.get(runtime, {}), **(options or {})},
        program=model.program,
        origin=model.imported,
    )


def verified_samples(artifact: Artifact, samples: list[Sample]) -> list[Sample]:
    """Those that the artifact was verified with: fewer than there are where a slow emulator did it, which
    would be as slow again."""
    return samples[: artifact.verdict.samples] if artifact.runtime != NULL else samples


def _calibration(model: ResolvedModel, precision: str) -> Sequence[Tensors]:
    """What static quantization measures its ranges on; nothing is read for other precisions."""
    from edgeflow.inputs.calibration import calibration_sets
    from edgeflow_converters.pipeline import CALIBRATED

    return calibration_sets(model.recipe) if precision == CALIBRATED else ()


def reference_outputs(
    model: ResolvedModel, artifact: Artifact, samples: Sequence[Sample], workspace: Workspace
) -> list[dict[str, NDArray[Any]]]:
    """What ONNX Runtime fp32 answers for the samples, in a process of its own, cached by content."""
    from edgeflow_converters.cache import Cache
    from edgeflow_converters.reference import reference_outputs as run_reference

    if artifact.runtime == NULL:
        return [dict(sample.tensors) for sample in samples]
    with converter_errors():
        return run_reference(
            model.source,
            artifact.source_sha256,
            [sample.tensors for sample in samples],
            Cache(workspace.cache_dir),
            timeout_s=_REFERENCE_TIMEOUT_S,
        )


def score_outputs(model: ResolvedModel) -> tuple[str, ...]:
    """The outputs in which the best class must not change: the score vector of a classification recipe."""
    recipe = model.recipe
    return (recipe.output,) if recipe.task == "classification" and recipe.output else ()
