"""The null runtime as a target: it echoes a model's inputs, computes nothing, and needs no conversion.

For tests and for what edgeflow itself costs. Its echo is compared like any output: what came back is what
was sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgeflow.errors import UsageError
from edgeflow.toolchain.targets import NULL

if TYPE_CHECKING:
    from edgeflow.deploy.resolve import ResolvedModel
    from edgeflow.inputs.samples import Sample
    from edgeflow_converters.base import Artifact

PRECISION = "fp32"


def check_precision(precision: str) -> None:
    """Raises UsageError for anything but fp32: nothing is computed in any."""
    if precision != PRECISION:
        raise UsageError(f"null does not offer {precision}: it computes nothing", hint=f"use {PRECISION}")


def echo_of(model: ResolvedModel) -> ResolvedModel:
    """The model without what its recipe says of outputs: an echo answers no question."""
    samples = tuple(sample.model_copy(update={"label": None}) for sample in model.recipe.samples)
    words: dict[str, Any] = {"task": "", "output": None, "labels": (), "samples": samples, "tolerances": {}}
    return replace(model, recipe=model.recipe.model_copy(update=words))


def artifact_of(model: ResolvedModel, samples: Sequence[Sample]) -> Artifact:
    """An artifact without files, whose outputs are the inputs."""
    from edgeflow_converters.base import Artifact
    from edgeflow_converters.check import compare, tolerance_for
    from edgeflow_converters.tensors import TensorSpec

    with model.source.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    tensors = tuple(
        TensorSpec(name, spec.dtype, spec.shape, name, spec.shape)
        for name, spec in model.recipe.inputs.items()
    )
    inputs = [sample.tensors for sample in samples]
    return Artifact(
        path=model.source.parent,
        key=f"null-{sha256[:16]}",
        runtime=NULL,
        precision=PRECISION,
        weights_dtype=PRECISION,
        compute_dtype=PRECISION,
        source_sha256=sha256,
        files={},
        sha256={},
        size_bytes=0,
        inputs=tensors,
        outputs=tensors,
        runtime_options={},
        tools={},
        notes=("computes nothing: its outputs are its inputs",),
        verdict=compare(inputs, inputs, tolerance_for(PRECISION)),
        cached=False,
    )


def with_options(artifact: Artifact, options: Mapping[str, Any]) -> Artifact:
    """The artifact with options of the null runtime (agent/PROTOCOL.md)."""
    return replace(artifact, runtime_options=dict(options))
