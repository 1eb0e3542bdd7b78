"""ncnn's .param, with the .bin beside it where there is one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from edgeflow_converters.formats import Description, Tensor
from edgeflow_converters.targets.ncnn_param import MAGIC, parse_param


def describe(path: Path, tools_root: Path) -> Description:
    del tools_root
    weights = path.with_suffix(".bin")
    layers = parse_param(path)
    read = {name for layer in layers for name in layer.inputs}
    made = [(layer, name) for layer in layers for name in layer.outputs]
    tensors = [
        Tensor(name, "input", "float32", _shape(layer.params))
        for layer, name in made
        if layer.kind == "Input"
    ]
    tensors += [Tensor(name, "output", "float32", (None,)) for _, name in made if name not in read]
    there = weights.is_file()
    return Description(
        format="ncnn",
        version=MAGIC,
        producer="",
        operators=Counter(layer.kind for layer in layers),
        tensors=tuple(tensors),
        parameters_bytes=weights.stat().st_size if there else None,
        size_bytes=0,
        not_listed=("inner tensors, and the shapes of outputs: the format does not keep them",),
        notes=() if there else (f"{weights.name} is not beside it",),
    )


def _shape(params: Mapping[str, str]) -> tuple[int | str | None, ...]:
    """Input's own w, h, d, c where it has them (0=w 1=h 11=d 2=c), outermost first."""
    sizes = [params.get(key) for key in ("2", "11", "1", "0")]
    found = tuple(int(size) for size in sizes if size is not None and size.isdigit() and size != "0")
    return found or (None,)
