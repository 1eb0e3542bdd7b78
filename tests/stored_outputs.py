"""What the zoo's models answer to their real inputs, as committed in data/zoo_outputs.npz.

Of each output: its size, its root mean square, and the values at its sixteen strongest and sixteen random
places. Made once by ONNX Runtime without graph rewrites; every value was found again by another engine,
OpenVINO's reader and kernels for the same ONNX file, before it was written:

    PYTHONPATH=TOOLS/openvino-VERSION:$PYTHONPATH python tests/stored_outputs.py
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).parent / "data" / "zoo_outputs.npz"
STRONGEST, RANDOM = 16, 16
ENGINES_AGREE = 1e-3  # rms of the difference, by the output's own rms

Outputs = Mapping[str, NDArray[Any]]


@cache
def _stored() -> dict[str, NDArray[Any]]:
    with np.load(FILE, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def error_of(model: str, sample: int, outputs: Outputs) -> float:
    """How far `outputs` of the recipe's sample number `sample` are from the stored ones: the worst output's
    rms of the differences at the stored places, by that of the values there; infinite for another size."""
    worst = 0.0
    prefix = f"{model}|{sample}|"
    names = {key.split("|")[2] for key in _stored() if key.startswith(prefix)}
    assert names, f"nothing is stored of {model}, sample {sample}"
    for name in names:
        places, values = _stored()[f"{prefix}{name}|places"], _stored()[f"{prefix}{name}|values"]
        (size,) = _stored()[f"{prefix}{name}|size"]
        found = outputs[name].reshape(-1).astype(np.float64)
        if found.size != size:
            return float("inf")
        worst = max(worst, _rms(found[places] - values) / _rms(values))
    return worst


def _rms(values: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def make(home: Path) -> None:
    """Writes the file. Raises ValueError where the engines disagree."""
    import onnxruntime
    import openvino

    from edgeflow import zoo
    from edgeflow.config.recipe import load_recipe
    from edgeflow.inputs.samples import real_samples

    made: dict[str, NDArray[Any]] = {}
    for entry in zoo.list_models(home):
        model = zoo.pull(entry.name, home)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(model.model_path, options, ["CPUExecutionProvider"])
        other = openvino.Core().read_model(model.model_path)
        names = [output.name for output in session.get_outputs()]
        samples = real_samples(load_recipe(model.recipe_path))
        other.reshape({name: list(array.shape) for name, array in samples[0].tensors.items()})
        compiled = openvino.Core().compile_model(other, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        for index, sample in enumerate(samples):
            tensors = dict(sample.tensors)
            answers = zip(names, session.run(names, tensors), strict=True)
            seconds = compiled(tensors)
            for name, values in answers:
                second = np.asarray(seconds[compiled.output(name)])
                gap = _rms(values - second) / max(_rms(values), 1e-12)
                print(f"{entry.name} {index} {name} {list(values.shape)}: the engines differ by {gap:.1e}")
                if not gap < ENGINES_AGREE:
                    raise ValueError(f"{entry.name}, sample {index}, {name}: the engines differ by {gap}")
                flat = values.reshape(-1)
                strongest = np.argsort(-np.abs(flat), kind="stable")[:STRONGEST]
                others = np.random.default_rng(index).integers(0, flat.size, RANDOM)
                places = np.unique(np.concatenate([strongest, others])).astype(np.int32)
                key = f"{entry.name}|{index}|{name}"
                made[f"{key}|places"], made[f"{key}|values"] = places, flat[places]
                made[f"{key}|size"] = np.array([flat.size], np.int32)
    np.savez_compressed(FILE, **made)  # type: ignore[arg-type]


if __name__ == "__main__":
    make(Path(sys.argv[1]))
