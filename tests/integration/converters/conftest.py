"""Real zoo models, converted for real, once a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgeflow import zoo
from edgeflow.config.recipe import load_recipe
from edgeflow.inputs.samples import gate_samples
from edgeflow_converters.base import Artifact, ConvertRequest
from edgeflow_converters.pipeline import convert

RequestFor = Callable[..., ConvertRequest]
ArtifactOf = Callable[[str, str, str], Artifact]


def ignore_progress(phase: str) -> None:
    """A progress function for tests that do not look at it."""


@pytest.fixture(scope="session")
def tools_root(warm_home: Path) -> Path:
    """Where converter tools are kept between runs."""
    return warm_home / "tools"


@pytest.fixture(scope="session")
def zoo_source(warm_home: Path) -> Callable[[str], Path]:
    """The ONNX file of a zoo model, pulled once."""
    return lambda name: zoo.pull(name, warm_home).model_path


@pytest.fixture(scope="session")
def request_for(warm_home: Path) -> RequestFor:
    """(model, runtime, precision[, seed]) -> the request that a deploy would make."""

    def make(name: str, runtime: str, precision: str, seed: int = 0) -> ConvertRequest:
        recipe = load_recipe(zoo.pull(name, warm_home).recipe_path)
        return ConvertRequest(
            source=zoo.pull(name, warm_home).model_path,
            runtime=runtime,
            precision=precision,
            input_shapes={input_name: tuple(spec.shape) for input_name, spec in recipe.inputs.items()},
            samples=[sample.tensors for sample in gate_samples(recipe, seed=seed)],
        )

    return make


@pytest.fixture(scope="session")
def cache_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the session."""
    return tmp_path_factory.mktemp("converter-cache")


@pytest.fixture(scope="session")
def artifact_of(request_for: RequestFor, cache_root: Path, tools_root: Path) -> ArtifactOf:
    """(model, runtime, precision) -> its verified artifact."""
    return lambda name, runtime, precision: convert(
        request_for(name, runtime, precision), cache_root, ignore_progress, tools_root=tools_root
    )
