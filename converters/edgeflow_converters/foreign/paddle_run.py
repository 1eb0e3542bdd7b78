"""Runs .nb models, and Paddle programs as they are, by Paddle Lite for x86-64. Runs in the environment of
paddlelite.

Spec: jobs, a list of {model, samples, result, inputs, outputs}, where inputs and outputs are pairs of the
tensor's name in the files and in the model, the inputs with their dtype, and all with their shapes in a .nb.
A job of a program has {program, parameters} instead of a model. The files are those of arrays.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def main() -> int:
    spec = json.loads(Path(sys.argv[1]).read_text())
    if int(np.__version__.split(".")[0]) >= 2:
        raise SystemExit(f"Paddle Lite copies nothing out of arrays of numpy {np.__version__}")
    for job in spec["jobs"]:
        run(job)
    Path(sys.argv[2]).write_text(json.dumps({"ok": {}}))
    return 0


def run(job: dict[str, Any]) -> None:
    from paddlelite import lite

    predictor = lite.create_paddle_predictor(configured(job))
    inputs, outputs = predictor.get_input_names(), predictor.get_output_names()
    for wanted, found in ((job["inputs"], inputs), (job["outputs"], outputs)):
        missing = {each["runtime_name"] for each in wanted} - set(found)
        if missing or len(wanted) != len(found):
            raise SystemExit(f"the model has the tensors {found}, and {wanted} are wanted")
    results = []
    for tensors in load_sets(job["samples"]):
        for each in job["inputs"]:
            array = np.ascontiguousarray(tensors[each["name"]], dtype=each["dtype"])
            predictor.get_input(inputs.index(each["runtime_name"])).from_numpy(
                array.reshape(each.get("runtime_shape", array.shape))
            )
        predictor.run()
        # A copy: the tensor's memory is used again in the next run.
        answers = {
            each["name"]: np.array(predictor.get_output(outputs.index(each["runtime_name"])).numpy())
            for each in job["outputs"]
        }
        results.append(
            {
                each["name"]: answers[each["name"]].reshape(each.get("shape", answers[each["name"]].shape))
                for each in job["outputs"]
            }
        )
    save_sets(job["result"], results)


def configured(job: dict[str, Any]) -> Any:
    """Paddle Lite's configuration: of a .nb, or of a program that it optimises as it loads it."""
    from paddlelite import lite

    if "model" in job:
        config = lite.MobileConfig()
        config.set_model_from_file(job["model"])
        return config
    config = lite.CxxConfig()
    config.set_model_file(job["program"])
    config.set_param_file(job["parameters"])
    targets, single = (lite.TargetType.X86, lite.TargetType.Host), lite.PrecisionType.FP32
    config.set_valid_places([lite.Place(target, single) for target in targets])
    return config


def load_sets(path: str) -> list[dict[str, Any]]:
    with np.load(path, allow_pickle=False) as archive:
        names = json.loads(str(archive["names"]))
        return [
            {name: archive[f"{index}_{position}"] for position, name in enumerate(of_set)}
            for index, of_set in enumerate(names)
        ]


def save_sets(path: str, sets: list[dict[str, Any]]) -> None:
    arrays = {
        f"{index}_{position}": tensors[name]
        for index, tensors in enumerate(sets)
        for position, name in enumerate(tensors)
    }
    arrays["names"] = np.array(json.dumps([list(tensors) for tensors in sets]))
    np.savez(path, **arrays)


if __name__ == "__main__":
    sys.exit(main())
