"""How often `convert --explain` names the node at which a fault was planted, and in how long.

    python benchmarks/explain_cases.py --home HOME [--runtimes ncnn,mnn] [--models ...] [--cases 20]

Each case plants one fault, by a seed, into what the converter is given (tests/planted_faults.py): weights
perturbed, or one operator in place of another. A fault that the gate does not see is drawn again: there is
nothing to explain. It counts as found if the very node is named. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from edgeflow import zoo
from edgeflow.config.recipe import load_recipe
from edgeflow.inputs.samples import gate_samples
from edgeflow_converters.base import ConvertRequest
from edgeflow_converters.explain import Explanation, explain
from edgeflow_converters.explain.run import prepared_model
from edgeflow_converters.targets import get_target
from planted_faults import FaultyConverter, draw

MAX_DRAWS = 12


def request_for(name: str, runtime: str, precision: str, home: Path) -> ConvertRequest:
    model = zoo.pull(name, home)
    recipe = load_recipe(model.recipe_path)
    return ConvertRequest(
        source=model.model_path,
        runtime=runtime,
        precision=precision,
        input_shapes={port: tuple(spec.shape) for port, spec in recipe.inputs.items()},
        samples=[sample.tensors for sample in gate_samples(recipe)],
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="an EDGEFLOW_HOME with tools and zoo")
    parser.add_argument("--runtimes", default="onnxruntime,ncnn,mnn")
    parser.add_argument("--models", default="mtcnn-onet,ppocr-cls,pplcnet-orientation,efficientnet-lite0")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    models = arguments.models.split(",")
    print("| runtime | seed | model | planted at | fault | named | kind | conversions | s |")
    print("|---|---|---|---|---|---|---|---|---|")
    summary = []
    for runtime in arguments.runtimes.split(","):
        found, times = 0, []
        for seed in range(arguments.first, arguments.first + arguments.cases):
            name = models[seed % len(models)]
            request = request_for(name, runtime, arguments.precision, arguments.home)
            explained, row, seconds = case(request, seed, arguments.home)
            found += explained
            times.append(seconds)
            print(f"| {runtime} | {seed} | {name} | {row} | {seconds:.0f} |", flush=True)
        summary.append(f"{runtime}: {found} of {arguments.cases}, at most {max(times):.0f} s a case")
    print("\n" + "\n".join(summary))
    return 0


def case(request: ConvertRequest, seed: int, home: Path) -> tuple[bool, str, float]:
    """Whether the planted node was named, what to tell of it, and how long the explanation took."""
    random = np.random.default_rng([seed, 7])
    tools = home / "tools"
    target = get_target(request.runtime, tools)
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        model: onnx.ModelProto = prepared_model(request, target, cache)
        for _ in range(MAX_DRAWS):
            fault = draw(model, random)
            begin = time.monotonic()
            said: Explanation | None = explain(
                request, cache, lambda phase: None, tools_root=tools, target=FaultyConverter(target, fault)
            )
            seconds = time.monotonic() - begin
            if said is not None:
                hit = said.tensor == fault.tensor
                named = "yes" if hit else f"no: {said.op} {said.tensor}"
                row = f"{fault.op} `{fault.tensor}` | {fault.what} | {named} | {said.kind}"
                return hit, f"{row} | {said.conversions}", seconds
    return False, "- | no fault that the gate sees | - | - | -", 0.0


if __name__ == "__main__":
    sys.exit(main())
