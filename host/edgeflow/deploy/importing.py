"""A framework's model becomes ONNX before anything else is done with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgeflow.errors import UsageError
from edgeflow.inputs.samples import gate_samples

if TYPE_CHECKING:
    from edgeflow.config.recipe import ModelFacts
    from edgeflow.deploy.resolve import ResolvedModel
    from edgeflow.progress import Progress
    from edgeflow.workspace import Workspace
    from edgeflow_converters.sources.base import InputShape, Source
    from edgeflow_converters.sources.importing import Imported

_SHAPE = re.compile(r"(?:(?P<name>[^=]+)=)?(?P<shape>[1-9]\d*(?:x[1-9]\d*)*)")


class Importing:
    """Imports for one command. A model without a recipe is imported to learn what it takes, and then kept."""

    def __init__(
        self, workspace: Workspace, progress: Progress, *, trust: bool, shapes: Sequence[str]
    ) -> None:
        self._workspace, self._progress, self._trust = workspace, progress, trust
        self._shapes = _shapes_of(shapes)
        self._seen: Imported | None = None

    def inspect(self, path: Path) -> ModelFacts:
        """What a model without a recipe says of itself. Raises as inspect_model and import_model do."""
        from edgeflow_converters.inspect import inspect_model
        from edgeflow_converters.sources.base import Source
        from edgeflow_converters.sources.kinds import is_factory, source_of

        source = source_of(path)
        if source is None and is_factory(path.name) and not path.exists():
            source = Source("pytorch", path.parent, path.name)
        if source is None:
            return inspect_model(path)
        if source.kind == "pytorch" and not self._shapes and path.suffix.lower() != ".pt2":
            raise UsageError(
                f"{source.name}: a PyTorch model does not say which shapes it takes",
                hint="give each input's: --shape image=1x3x224x224, or write a recipe (docs/recipe.md)",
            )
        self._seen = self._imported(source, self._shapes, ())
        return inspect_model(self._seen.model)

    def as_onnx(self, model: ResolvedModel) -> ResolvedModel:
        """`model` with its ONNX form as its source; one that is ONNX is returned as it is."""
        from edgeflow_converters.sources.base import InputShape, Source
        from edgeflow_converters.sources.kinds import source_of

        source = Source("pytorch", model.source, model.factory) if model.factory else source_of(model.source)
        if source is None:
            return model
        found = self._seen
        if found is None:
            inputs = {name: InputShape(spec.shape, spec.dtype) for name, spec in model.recipe.inputs.items()}
            found = self._imported(source, inputs, [sample.tensors for sample in gate_samples(model.recipe)])
        program = source.path if source.kind == "paddle" else None
        return replace(model, source=found.model, imported=found.facts, program=program)

    def _imported(self, source: Source, inputs: dict[str, InputShape], samples: Sequence[object]) -> Imported:
        from edgeflow_converters.sources.base import Asked
        from edgeflow_converters.sources.importing import import_model

        return import_model(
            source,
            Asked(inputs=inputs, trust=self._trust),
            self._workspace.cache_dir,
            self._workspace.tools_dir,
            lambda phase: self._progress.step(f"import {source.name}: {phase}"),
            samples=samples,  # type: ignore[arg-type]
        )


def _shapes_of(texts: Sequence[str]) -> dict[str, InputShape]:
    """The shapes of --shape options by name. Raises UsageError."""
    from edgeflow_converters.sources.base import InputShape

    found: dict[str, InputShape] = {}
    for number, text in enumerate(texts):
        match = _SHAPE.fullmatch(text)
        if match is None:
            raise UsageError(f"--shape {text}: expected sizes such as 1x3x224x224, or NAME=1x3x224x224")
        name = match["name"] or ("input" if len(texts) == 1 else f"input{number}")
        if name in found:
            raise UsageError(f"--shape {text}: the input {name} has a shape already")
        found[name] = InputShape(tuple(int(size) for size in match["shape"].split("x")))
    return found
