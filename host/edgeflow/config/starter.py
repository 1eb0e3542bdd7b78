"""The annotated recipe that `edgeflow init` writes: facts from the model file, and guesses marked as such."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from edgeflow.config.recipe import ModelFacts, TensorFacts, name_of, shown_shape

GUESSED_SIDE = 224
"""Height and width of a picture where the model leaves them open: the usual size of classifiers."""
GUESSED_LENGTH = 16
"""Any other open axis: long enough that a sequence model has something to do."""

COLORS = {1: "GRAY", 3: "RGB", 4: "RGBA"}


class DescribedModel(ModelFacts, Protocol):
    """Model facts with the free text that exporters put into a model file."""

    @property
    def metadata(self) -> Mapping[str, str]: ...


def render_recipe(source: Path, info: DescribedModel, folder: Path | None = None) -> str:
    """The text of a recipe for the model file `source`; it loads again as it is.

    `folder` is where the recipe will lie (default: beside the model); the model's path is written relative to
    it. Facts are taken from the file; everything else is marked `# guess:` with its reason.
    """
    relative = os.path.relpath(source.absolute(), folder.absolute()) if folder else source.name
    lines = [
        f"# Recipe of {source.name}, written from what the file says. Check the lines marked 'guess'.",
        "# docs/recipe.md describes every key.",
        f"name: {scalar(name_of(source))}",
        f"model: {scalar(relative)}",
        "",
        "inputs:",
    ]
    for tensor in info.inputs:
        lines += [f"  {scalar(tensor.name)}:", *(f"    {line}" for line in _input(tensor))]
    lines += ["", *_answer(info), "", *_examples(info)]
    return "\n".join(lines) + "\n"


def scalar(text: str) -> str:
    """`text` as a YAML scalar: plain where that is safe, else quoted (JSON's quoting is YAML's)."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./-]*", text) and text not in ("null", "true", "false"):
        return text
    return json.dumps(text, ensure_ascii=False)


def _input(tensor: TensorFacts) -> Iterator[str]:
    layout = _image_layout(tensor)
    shape = [_size(tensor, axis, layout) for axis in range(len(tensor.shape))]
    opened = [axis for axis, size in enumerate(tensor.shape) if not _fixed(size)]
    note = ""
    if opened == [0]:
        note = "   # the model leaves the batch open; 1 is what a device runs"
    elif opened:
        note = f"   # guess: the model leaves sizes open: {shown_shape(tensor.shape)}"
    yield f"shape: [{', '.join(map(str, shape))}]{note}"
    yield f"dtype: {tensor.dtype}"
    if layout is None:
        yield "kind: tensor   # read from .npy or .npz"
        yield "# range: [-1, 1]   # what values it takes; random test inputs are drawn from it"
        return
    channels = shape[layout.index("C")]
    yield f"kind: image   # guess: 4 dimensions, {channels} of them channels; else 'tensor'"
    yield f"layout: {layout}   # guess: the axis of {channels} is taken for the channels"
    color = COLORS[channels]
    other = {"RGB": "BGR", "RGBA": "BGRA"}.get(color)
    yield f"color: {color}   # guess" + (f": models trained with OpenCV take {other}" if other else "")
    yield "resize: {mode: stretch}   # guess: or letterbox, crop, short-side-crop"
    if tensor.dtype.startswith("float"):
        yield "scale: 0.00392156862745098   # guess: 1/255, pixels to 0..1; x * scale, then (x - mean) / std"
        yield "# mean: [0.485, 0.456, 0.406]   # ImageNet's, if the model was trained with them"
        yield "# std: [0.229, 0.224, 0.225]"


def _image_layout(tensor: TensorFacts) -> str | None:
    """NCHW or NHWC if the tensor may be a picture, else None."""
    if len(tensor.shape) != 4 or tensor.dtype not in ("float32", "float16", "uint8"):
        return None
    batch, first, _, last = tensor.shape
    if _fixed(batch) and batch != 1:
        return None
    if first in COLORS:
        return "NCHW"
    return "NHWC" if last in COLORS else None


def _size(tensor: TensorFacts, axis: int, layout: str | None) -> int:
    size = tensor.shape[axis]
    if isinstance(size, int) and size > 0:
        return size
    if axis == 0:
        return 1
    return GUESSED_SIDE if layout and layout[axis] in "HW" else GUESSED_LENGTH


def _fixed(size: int | str | None) -> bool:
    return isinstance(size, int) and size > 0


def _answer(info: DescribedModel) -> Iterator[str]:
    """Task, output and labels."""
    names = ", ".join(f"{tensor.name} {shown_shape(tensor.shape)}" for tensor in info.outputs)
    yield f"# Outputs: {names}"
    scores = [tensor for tensor in info.outputs if _class_count(tensor.shape)]
    if len(info.outputs) != 1 or not scores:
        yield "# task: classification   # turns on top-1 and labels; 'output' then names the scores"
        yield "# output: NAME"
        return
    count = _class_count(scores[0].shape)
    yield f"task: classification   # guess: one output of {count} scores"
    yield f"output: {scalar(scores[0].name)}"
    labels = _labels(info.metadata)
    if len(labels) == count and len(set(labels)) == count:
        yield f"labels: [{', '.join(_label(label) for label in labels)}]   # from the model's metadata"
    else:
        yield "# labels: labels.txt   # a list, or a file with one name per line"


def _class_count(shape: Sequence[int | str | None]) -> int:
    """How many scores an output of one vector per picture has, or 0."""
    if len(shape) != 2 or (_fixed(shape[0]) and shape[0] != 1):
        return 0
    count = shape[1]
    return count if isinstance(count, int) and count > 1 else 0


def _labels(metadata: Mapping[str, str]) -> list[str]:
    """Class names under the keys that common exporters use: one per line, or a JSON list."""
    for key in ("character", "labels", "classes", "class_names"):
        text = metadata.get(key, "")
        try:
            listed = json.loads(text)
        except ValueError:
            listed = text.splitlines()
        if isinstance(listed, list) and listed and all(isinstance(name, str) for name in listed):
            return listed
    return []


def _label(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _examples(info: DescribedModel) -> Iterator[str]:
    first = info.inputs[0]
    file = "example.png" if _image_layout(first) else "example.npy"
    files = ", ".join(f"{scalar(tensor.name)}: {file}" for tensor in info.inputs[:1])
    yield "# Real inputs, with the right answer where it is known: conversions are judged by them first."
    yield "# samples:"
    yield f"#   - {{files: {{{files}}}, label: NAME}}"
    yield "# calibration: {data: calibration/, limit: 200}   # real inputs for int8"
    yield "# evaluation: {data: validation/, metric: top1}"
    yield "# tolerances: {fp16: {cosine_min: 0.999, rel_err_max: 0.05}}"
