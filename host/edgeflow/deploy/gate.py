"""The device's own verdict: its outputs against ONNX Runtime fp32, and its answer to a real input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgeflow.deploy.conversion import score_outputs, tolerance_of
from edgeflow.deploy.result import Answer
from edgeflow.inputs.postprocess import predict

if TYPE_CHECKING:
    from edgeflow.deploy.resolve import ResolvedModel
    from edgeflow.inputs.samples import Sample
    from edgeflow_converters.check import Verdict
    from edgeflow_converters.tensors import Tensors


def device_verdict(
    model: ResolvedModel, reference: Sequence[Tensors], outputs: Sequence[Tensors], precision: str
) -> Verdict:
    """Judges the device's outputs sample by sample, with the tolerances that conversion used."""
    from edgeflow_converters.check import compare

    return compare(reference, outputs, tolerance_of(model, precision), top1_outputs=score_outputs(model))


def first_answer(
    model: ResolvedModel, samples: Sequence[Sample], outputs: Sequence[Tensors]
) -> Answer | None:
    """What the device answered to the recipe's first labelled input; None where there is none."""
    for sample, output in zip(samples, outputs, strict=True):
        if sample.label is not None:
            prediction = predict(model.recipe, output)
            if prediction is not None:
                return Answer(prediction, sample.label, sample.origin)
    return None
