"""Reads a Keras model (.keras, HDF5), or runs it. Runs in the environment of keras, whose backend is JAX.

Spec: model, layers (the classes that are read), shapes (input name -> shape, where told), and either
`weights`, the .npz to write, or samples and result (the files of arrays.py). Answer: {refused, hint} for
shapes that do not fit, else {}; with `weights`:

    inputs   [{name, dtype, shape}], an open axis being null; outputs [{name, tensor}]
    tensors  the shape of each tensor; the first ones are the inputs
    layers   [{kind, name, config, inputs, outputs, weights}] in an order that can be computed: numbers of
             tensors, and name of a weight -> its key in the .npz
    version  of the Keras that wrote the file

Models inside of models are laid out flat. Before Keras makes anything of what a file says, every layer in it
must be of a class that is read: code that a file carries (Lambda) never runs.
"""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

_MODELS = ("Model", "Functional", "Sequential")


class Declined(Exception):
    """What cannot be read, and what to do."""

    def __init__(self, message: str, hint: str = "export the model as ONNX") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class ShapeRefused(Declined):
    """A shape that was told, or was not, does not fit the model."""


def main() -> int:
    spec = json.loads(Path(sys.argv[1]).read_text())
    try:
        answer = {"ok": work(spec)}
    except ShapeRefused as refused:
        answer = {"ok": {"refused": refused.message, "hint": refused.hint}}
    except Declined as declined:
        answer = {"error": {"message": declined.message, "hint": declined.hint}}
    Path(sys.argv[2]).write_text(json.dumps(answer))
    return 0


def work(spec: dict[str, Any]) -> dict[str, Any]:
    path = Path(spec["model"])
    config, version = written(path)
    for layer in layers_in(config):
        if layer not in spec["layers"]:
            raise Declined(f"the layer {layer} is not read from Keras")
    model = load(path)
    if "weights" in spec:
        return describe(model, spec, version)
    run(model, Path(spec["samples"]), Path(spec["result"]))
    return {}


def written(path: Path) -> tuple[dict[str, Any], str]:
    """What the file says of the model, and the version of Keras that wrote it."""
    import h5py  # type: ignore[import-not-found]

    again = "save it again with model.save()"
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                told = json.loads(archive.read("metadata.json"))
                return json.loads(archive.read("config.json")), str(told.get("keras_version", ""))
        with h5py.File(path, "r") as file:
            if "model_config" not in file.attrs:
                raise Declined("it holds weights and no model", "save the whole model: model.save('m.keras')")
            return json.loads(file.attrs["model_config"]), str(text(file.attrs.get("keras_version", "")))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise Declined(f"it is damaged: {first_line(error)}", again) from error


def text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def layers_in(config: dict[str, Any]) -> Iterator[str]:
    """The classes of all layers, those of models inside included."""
    inner = config.get("config") or {}
    layers = inner if isinstance(inner, list) else inner.get("layers")
    if config.get("class_name") not in _MODELS or layers is None:
        yield str(config.get("class_name"))
        return
    for layer in layers:
        yield from layers_in(layer)


def load(path: Path) -> Any:
    os.environ["KERAS_BACKEND"] = "jax"
    os.environ["KERAS_HOME"] = str(Path(sys.argv[2]).resolve().parent)  # else it makes a folder in the home
    os.environ["JAX_PLATFORMS"] = "cpu"
    import keras  # type: ignore[import-not-found]

    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise Declined(f"Keras {keras.__version__} cannot load it: {first_line(error)}") from error
    functional = flat(model)
    if functional is None:
        raise Declined("it is no Sequential and no functional model, or was never given an input")
    return functional


def flat(model: Any) -> Any:
    """The functional form of a model, None if it has none."""
    import keras
    from keras.src.models.functional import Functional  # type: ignore[import-not-found]

    if isinstance(model, keras.Sequential):
        return model._functional
    return model if isinstance(model, Functional) else None


def describe(model: Any, spec: dict[str, Any], version: str) -> dict[str, Any]:
    import keras

    tensors: list[Any] = []
    numbers: dict[int, int] = {}
    layers: list[dict[str, Any]] = []
    weights: dict[str, Any] = {}

    def number(tensor: Any) -> int:
        if id(tensor) not in numbers:
            numbers[id(tensor)] = len(tensors)
            tensors.append(tensor)
        return numbers[id(tensor)]

    def lay_out(functional: Any, given: list[Any]) -> list[Any]:
        """The functional model's layers, one after another, fed with `given`; what it gives."""
        values = {id(own): new for own, new in zip(functional.inputs, given, strict=True)}
        for depth in sorted(functional._nodes_by_depth, reverse=True):
            for node in functional._nodes_by_depth[depth]:
                if node.is_input:
                    continue
                layer = node.operation
                fed = [values[id(tensor)] for tensor in node.arguments.keras_tensors]
                inner = flat(layer)
                made = lay_out(inner, fed) if inner is not None else computed(layer, node, values, fed)
                values |= {id(own): new for own, new in zip(node.outputs, made, strict=True)}
        return [values[id(own)] for own in functional.outputs]

    def computed(layer: Any, node: Any, values: dict[int, Any], fed: list[Any]) -> list[Any]:
        kind = type(layer).__name__
        if not isinstance(layer, keras.layers.Layer) or kind not in spec["layers"]:
            raise Declined(f"the operation {kind} is not read from Keras")
        words, named = node.arguments.fill_in(values)
        given = layer.compute_output_spec(*words, **named)
        made = list(given) if isinstance(given, (list, tuple)) else [given]
        keys = {}
        for weight in layer.weights:
            keys[weight.name] = f"{layer.name}/{weight.name}/{id(layer)}"
            weights[keys[weight.name]] = np.asarray(weight)
        layers.append(
            {
                "kind": kind, "name": layer.name, "config": layer.get_config(), "weights": keys,
                "inputs": [number(each) for each in fed], "outputs": [number(each) for each in made],
            }
        )  # fmt: skip
        return made

    inputs = told_inputs(model, spec["shapes"])
    for tensor in inputs:
        number(tensor)
    results = lay_out(model, inputs)
    np.savez(spec["weights"], **weights)
    return {
        "inputs": [
            {"name": own.name, "dtype": str(new.dtype), "shape": list(new.shape)}
            for own, new in zip(model.inputs, inputs, strict=True)
        ],
        "outputs": [
            {"name": name, "tensor": number(tensor)}
            for name, tensor in zip(names_of_outputs(model), results, strict=True)
        ],
        "tensors": [list(tensor.shape) for tensor in tensors],
        "layers": json.loads(json.dumps(layers, default=str)),
        "version": version,
    }


def told_inputs(model: Any, shapes: dict[str, list[int]]) -> list[Any]:
    """The model's inputs with the shapes that were told. Raises ShapeRefused."""
    import keras

    own = {tensor.name: tensor for tensor in model.inputs}
    for name in shapes:
        if name not in own:
            raise ShapeRefused(f"the Keras model has no input {name!r}", f"it has: {', '.join(own)}")
    made = []
    for name, tensor in own.items():
        shape = tuple(shapes.get(name, tensor.shape))
        shown = "x".join("?" if size is None else str(size) for size in tensor.shape)
        fits = len(shape) == len(tensor.shape) and all(
            size is None or size == wanted for size, wanted in zip(tensor.shape, shape, strict=True)
        )
        if not fits:
            asked = "x".join(map(str, shape))
            raise ShapeRefused(f"the Keras model's input {name!r} is {shown}, not {asked}", "")
        if None in shape[1:]:
            raise ShapeRefused(
                f"the Keras model's input {name!r} is {shown}: its size is open",
                f"tell it: --shape {name}={shown.replace('?', 'N')}, or write a recipe",
            )
        made.append(keras.KerasTensor(shape, dtype=tensor.dtype))
    return made


def names_of_outputs(model: Any) -> list[str]:
    """The outputs' names: their layers', told apart where one gives several or is an input too."""
    names: list[str] = []
    taken = {tensor.name for tensor in model.inputs}
    for name in model.output_names:
        unique, count = name, 1
        while unique in taken:
            unique, count = f"{name}_{count}", count + 1
        taken.add(unique)
        names.append(unique)
    return names


def run(model: Any, samples: Path, result: Path) -> None:
    names = names_of_outputs(model)
    results = []
    for tensors in load_sets(samples):
        fed = [np.asarray(tensors[tensor.name], tensor.dtype) for tensor in model.inputs]
        given = model.predict_on_batch(fed if len(fed) > 1 else fed[0])  # compiled once, as a whole
        given = list(given.values()) if isinstance(given, dict) else given
        made = list(given) if isinstance(given, (list, tuple)) else [given]
        results.append({name: np.asarray(value) for name, value in zip(names, made, strict=True)})
    save_sets(result, results)


def load_sets(path: Path) -> list[dict[str, Any]]:
    with np.load(path, allow_pickle=False) as archive:
        names = json.loads(str(archive["names"]))
        return [
            {name: archive[f"{index}_{position}"] for position, name in enumerate(of_set)}
            for index, of_set in enumerate(names)
        ]


def save_sets(path: Path, sets: list[dict[str, Any]]) -> None:
    arrays = {
        f"{index}_{position}": tensors[name]
        for index, tensors in enumerate(sets)
        for position, name in enumerate(tensors)
    }
    arrays["names"] = np.array(json.dumps([list(tensors) for tensors in sets]))
    np.savez(path, **arrays)


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


if __name__ == "__main__":
    sys.exit(main())
