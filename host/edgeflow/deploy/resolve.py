"""What a MODEL argument means: a recipe, a model file, a zoo model, or this folder's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow import zoo
from edgeflow.config.recipe import RECIPE_NAME, ModelFacts, Recipe, load_recipe, recipe_for_model
from edgeflow.config.suggest import nearest
from edgeflow.config.yaml_source import load_yaml
from edgeflow.converter_errors import converter_errors
from edgeflow.errors import UsageError
from edgeflow_converters.sources.kinds import is_factory

if TYPE_CHECKING:
    from edgeflow.progress import Progress
    from edgeflow.workspace import Workspace

ZOO_PREFIX = "zoo:"
RECIPE_SUFFIXES = (".yaml", ".yml")
MODEL_SUFFIXES = (".onnx", ".pt", ".pt2", ".pth", ".tflite", ".pdmodel", ".keras", ".h5", ".hdf5")

_KINDS = (
    f"a model ({', '.join(MODEL_SUFFIXES)})",
    "module:factory",
    f"a recipe ({', '.join(RECIPE_SUFFIXES)})",
)
ACCEPTED = f"{', '.join(_KINDS)} or {ZOO_PREFIX}NAME"

InspectFn = Callable[[Path], ModelFacts]
"""Reads a model file's tensors; raises when the file is no model."""


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model file with its recipe; `origin` tells a person how the two were found.

    `source_bytes` is set where the file itself stayed on the host that converted it.
    """

    recipe: Recipe
    source: Path
    name: str
    origin: str
    source_bytes: int | None = None
    factory: str = ""  # of a model that code makes: module:name, looked for in the folder `source`
    imported: Mapping[str, Any] | None = None  # what the framework's model was, where it was no ONNX
    program: Path | None = None  # the Paddle program that it was, which Paddle Lite takes as it is

    @property
    def size_bytes(self) -> int:
        """Of the model file."""
        return self.source.stat().st_size if self.source_bytes is None else self.source_bytes


def resolve(
    spec: str | None,
    workspace: Workspace,
    progress: Progress,
    *,
    trust: bool = False,
    shapes: Sequence[str] = (),
) -> ResolvedModel:
    """The model that `spec` names, as ONNX whatever it was, its origin told to the user.

    Raises UsageError, ConversionError, NumericsError, ToolMissingError.
    """
    from edgeflow.deploy.importing import Importing

    importing = Importing(workspace, progress, trust=trust, shapes=shapes)
    with converter_errors():
        model = resolve_model(spec, workspace.cwd, workspace.home, importing.inspect, progress.step)
        model = importing.as_onnx(model)
    if spec is None:
        progress.note(f"using {model.origin}")
    return model


def resolve_model(
    spec: str | None,
    cwd: Path,
    home: Path,
    inspect: InspectFn,
    progress: Callable[[str], None] | None = None,
) -> ResolvedModel:
    """The model that `spec` names, from the point of view of the folder `cwd`.

    None means edgeflow.yaml in `cwd`, else the zoo's demo model. A zoo model is pulled if need be. A bare
    model uses NAME.yaml or edgeflow.yaml beside it only when that recipe is of this very file, else a default
    recipe. Raises UsageError for a missing file (naming the nearest one there is) or a spec of no accepted
    kind, and what `zoo.pull` and `inspect` raise.
    """
    if spec is None:
        own = cwd / RECIPE_NAME
        if own.is_file():
            return _from_recipe(own, home, f"{RECIPE_NAME} in this folder", progress)
        return _from_zoo(zoo.demo_model(), home, progress, demo=True)
    if spec.startswith(ZOO_PREFIX):
        return _from_zoo(spec.removeprefix(ZOO_PREFIX), home, progress)
    path = cwd / Path(spec).expanduser()
    if is_factory(spec) and not path.exists():
        return _from_factory(spec, cwd, inspect)
    suffix = path.suffix.lower()
    if suffix not in (*RECIPE_SUFFIXES, *MODEL_SUFFIXES):
        raise _not_accepted(spec, path)
    _require_file(path, spec)
    if suffix in RECIPE_SUFFIXES:
        return _from_recipe(path, home, f"recipe {spec}", progress)
    return _from_model(path, spec, inspect)


def _from_zoo(
    name: str, home: Path, progress: Callable[[str], None] | None, *, demo: bool = False
) -> ResolvedModel:
    model = zoo.pull(name, home, progress)
    recipe = load_recipe(model.recipe_path)
    origin = f"zoo model {name}"
    if demo:
        origin = f"the zoo's demo model {name} (no MODEL given, and no {RECIPE_NAME} in this folder)"
    return ResolvedModel(recipe, model.model_path, recipe.name, origin)


def _from_recipe(
    path: Path, home: Path, origin: str, progress: Callable[[str], None] | None
) -> ResolvedModel:
    recipe = load_recipe(path)
    if recipe.model.startswith(ZOO_PREFIX):
        source = zoo.pull(recipe.model.removeprefix(ZOO_PREFIX), home, progress).model_path
        return ResolvedModel(recipe, source, recipe.name, f"{origin}, of {recipe.model}")
    if is_factory(recipe.model) and not recipe.resolve(recipe.model).exists():
        return ResolvedModel(recipe, recipe.base_dir, recipe.name, origin, factory=recipe.model)
    source = recipe.resolve(recipe.model)
    _require_file(source, f"{path}: model: {recipe.model}")
    if source.suffix.lower() not in MODEL_SUFFIXES:
        raise UsageError(f"{path}: model: {recipe.model}: expected a file of {', '.join(MODEL_SUFFIXES)}")
    return ResolvedModel(recipe, source, recipe.name, origin)


def _from_model(path: Path, spec: str, inspect: InspectFn) -> ResolvedModel:
    for candidate in (path.with_suffix(".yaml"), path.with_name(RECIPE_NAME)):
        if candidate.is_file():
            named = load_yaml(candidate).data.get("model")
            if isinstance(named, str) and _is_file(candidate.parent / Path(named).expanduser(), path):
                recipe = load_recipe(candidate)
                return ResolvedModel(
                    recipe, path, recipe.name, f"{spec} with the recipe {candidate.name} beside it"
                )
    recipe = recipe_for_model(path, inspect(path))
    return ResolvedModel(recipe, path, recipe.name, f"{spec} with a default recipe (random inputs only)")


def _from_factory(spec: str, cwd: Path, inspect: InspectFn) -> ResolvedModel:
    """What code makes: with this folder's recipe if that is of this very factory."""
    own = cwd / RECIPE_NAME
    if own.is_file() and load_yaml(own).data.get("model") == spec:
        recipe = load_recipe(own)
        return ResolvedModel(
            recipe, cwd, recipe.name, f"{spec} with {RECIPE_NAME} in this folder", factory=spec
        )
    recipe = recipe_for_model(cwd / spec.replace(":", "."), inspect(cwd / spec))
    return ResolvedModel(
        recipe, cwd, recipe.name, f"{spec} with a default recipe (random inputs only)", factory=spec
    )


def _is_file(named: Path, path: Path) -> bool:
    return named.is_file() and named.samefile(path)


def _not_accepted(spec: str, path: Path) -> UsageError:
    if spec in zoo.model_names():
        return UsageError(f"{spec}: not a file; a model of the zoo is written {ZOO_PREFIX}{spec}")
    if path.is_dir():
        own = path / RECIPE_NAME
        inside = f"; did you mean {Path(spec) / RECIPE_NAME}?" if own.is_file() else ""
        return UsageError(f"{spec}: is a folder; expected {ACCEPTED}{inside}")
    state = "" if path.exists() else " (and no such file)"
    return UsageError(f"{spec}: not a model that edgeflow reads{state}; expected {ACCEPTED}")


def _require_file(path: Path, spec: str) -> None:
    if path.is_file():
        return
    if path.exists():
        raise UsageError(f"{spec}: is a folder, not a file")
    if not path.parent.is_dir():
        raise UsageError(f"{spec}: no such file, and no folder {path.parent}")
    match = nearest(path.name, (item.name for item in path.parent.iterdir() if item.is_file()))
    raise UsageError(f"{spec}: no such file" + (f"; did you mean '{match}'?" if match else ""))
