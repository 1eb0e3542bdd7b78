"""Model recipes: loading one, making the default of a bare model, and writing one to begin with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, get_args

from pydantic import ValidationError

from edgeflow.config.dtypes import Dtype
from edgeflow.config.recipe_schema import InputSpec, RecipeSchema
from edgeflow.config.validation import describe
from edgeflow.config.yaml_source import load_yaml
from edgeflow.errors import UsageError

RECIPE_NAME = "edgeflow.yaml"
"""The recipe that commands use when none is named and this file lies in the folder."""


class Recipe(RecipeSchema):
    """A validated recipe, and where it came from."""

    base_dir: Path  # what relative paths in the recipe start from
    path: Path | None = None  # None: made from a bare model

    def resolve(self, relative: str) -> Path:
        """A path of the recipe as a path of this machine. The file need not exist."""
        return self.base_dir / Path(relative).expanduser()

    def file(self, relative: str, purpose: str) -> Path:
        """Like `resolve`, for a file that must exist. Raises UsageError naming recipe, purpose and file."""
        found = self.resolve(relative)
        if not found.is_file():
            raise UsageError(f"{self.origin}: {purpose}: {found}: no such file")
        return found

    def label_names(self) -> tuple[str, ...]:
        """The class names in the order of the output's elements; empty when the recipe has none.

        A labels file holds one name per line, UTF-8. Raises UsageError when it is missing or empty.
        """
        if not isinstance(self.labels, str):
            return self.labels
        path = self.file(self.labels, "labels")
        try:
            names = tuple(line.strip() for line in path.read_text("utf-8-sig").rstrip("\n").split("\n"))
        except UnicodeDecodeError:
            raise UsageError(f"{path}: labels: not UTF-8 text") from None
        if "" in names:
            raise UsageError(f"{path}:{names.index('') + 1}: labels: an empty line")
        return names

    @property
    def origin(self) -> str:
        """The recipe in an error message: its file, else its name."""
        return str(self.path) if self.path else f"recipe of {self.name}"


class TensorFacts(Protocol):
    """What a model file tells of one tensor."""

    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> tuple[int | str | None, ...]: ...  # None or a name: a dynamic axis


class ModelFacts(Protocol):
    """What a model file tells without being run, as `edgeflow_converters.inspect` reads it."""

    @property
    def inputs(self) -> Sequence[TensorFacts]: ...
    @property
    def outputs(self) -> Sequence[TensorFacts]: ...


def load_recipe(path: Path) -> Recipe:
    """The recipe in the YAML file `path`. Raises UsageError with file, line and key.

    Files that the recipe names are looked for when they are used, not here.
    """
    document = load_yaml(path)
    schema = document.validate(RecipeSchema)
    fields = {name: getattr(schema, name) for name in schema.model_fields_set}
    location = path.absolute()
    return Recipe(**fields, base_dir=location.parent, path=path)


def recipe_for_model(source: Path, info: ModelFacts) -> Recipe:
    """The default recipe of a model that has none: every input a plain tensor in [-1, 1], batch size 1.

    Raises UsageError when a shape leaves another axis than the batch open (its size cannot be guessed), and
    for a dtype that no runtime here takes.
    """
    inputs: dict[str, InputSpec] = {}
    beside = source.with_suffix(".yaml")  # where deploy looks for the recipe of a bare model
    for tensor in info.inputs:
        shape: list[int] = []
        for axis, size in enumerate(tensor.shape):
            if isinstance(size, int) and size > 0:
                shape.append(size)
            elif axis == 0:
                shape.append(1)
            else:
                named = f" ('{size}')" if isinstance(size, str) and size else ""
                raise UsageError(
                    f"{source}: input '{tensor.name}': axis {axis}{named} of shape "
                    f"{shown_shape(tensor.shape)} has no fixed size",
                    hint=f"run 'edgeflow init {source} --output {beside}' and set the size there",
                )
        if tensor.dtype not in get_args(Dtype):
            raise UsageError(f"{source}: input '{tensor.name}': {tensor.dtype} tensors are not supported")
        try:
            inputs[tensor.name] = InputSpec.model_validate({"shape": shape, "dtype": tensor.dtype})
        except ValidationError as failure:
            problem = describe(failure.errors()[0], {"shape": shape}, InputSpec)
            key = ".".join(map(str, problem.keys))
            raise UsageError(f"{source}: input '{tensor.name}': {key}: {problem.message}") from None
    return Recipe(
        name=name_of(source), model=source.name, inputs=inputs, base_dir=source.absolute().parent, path=None
    )


def shown_shape(shape: Sequence[int | str | None]) -> str:
    """A shape as text, `?` for a dynamic axis without a name."""
    return "[" + ", ".join("?" if size in (None, "") else str(size) for size in shape) + "]"


def name_of(source: Path) -> str:
    """A recipe name made from a model's file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", source.stem).strip("-._") or "model"
