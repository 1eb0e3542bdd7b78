"""Stores a float32 .tflite as fp16, int8-dynamic, int8-weights or int8, by ai-edge-quantizer. Runs in its
environment.

Spec: model, out, kind, calibration (.npz of sets by signature key, as arrays.py writes them; int8 only).
Answer: quantized, total (numbers of operators), floating ({operator: how many compute in float32}).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import interpreter as litert
from ai_edge_quantizer import algorithm_manager, qtyping, quantizer, recipe

_ALL = ".*"
_THREADS = 2


def main() -> int:
    spec = json.loads(Path(sys.argv[1]).read_text())
    try:
        answer: dict[str, Any] = {"ok": quantize(spec)}
    except (ValueError, RuntimeError, NotImplementedError, KeyError) as error:
        text = " ".join(str(error).split())[:300] or type(error).__name__
        answer = {"error": {"message": text, "hint": "use --precision fp32, or another runtime"}}
    Path(sys.argv[2]).write_text(json.dumps(answer))
    return 0


def quantize(spec: dict[str, Any]) -> dict[str, Any]:
    work = quantizer.Quantizer(spec["model"])
    measured = None
    if spec["kind"] == "fp16":
        weights = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
        work.update_quantization_recipe(
            regex=_ALL,
            operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
            op_config=qtyping.OpQuantizationConfig(
                weight_tensor_config=weights, compute_precision=qtyping.ComputePrecision.FLOAT
            ),
            algorithm_key=algorithm_manager.AlgorithmName.FLOAT_CASTING,
        )
    elif spec["kind"] == "int8-dynamic":
        work.load_quantization_recipe(recipe.dynamic_wi8_afp32())
    elif spec["kind"] == "int8-weights":
        work.load_quantization_recipe(recipe.weight_only_wi8_afp32())
    else:
        work.load_quantization_recipe(recipe.static_wi8_ai8())
        names = qtyping.TFLOperationName
        # Inputs and outputs stay float32: the model quantizes and dequantizes at its edges by itself. So does
        # softmax: in steps of 1/256 its small probabilities would all be 0.
        for kind in (names.INPUT, names.OUTPUT, names.SOFTMAX):
            work.update_quantization_recipe(
                regex=_ALL,
                operation_name=kind,
                algorithm_key=algorithm_manager.AlgorithmName.NO_QUANTIZE,
            )
        measured = ranges(work, spec["signature"], load_sets(spec["calibration"]))
    done = work.quantize(measured, enable_progress_bar=False, enable_progress_report=False)
    done.export_model(spec["out"], overwrite=True)
    return operators(spec["out"], weights_alone=spec["kind"] == "int8-weights")


def ranges(work: quantizer.Quantizer, signature: str, sets: list[dict[str, Any]]) -> dict[str, Any]:
    """The smallest and largest value of every tensor over all sets.

    The quantizer's own calibration over several sets takes a moving average, which clips what is rare: so
    each set is measured alone.
    """
    found: dict[str, Any] = {}
    for tensors in sets:
        for name, seen in work.calibrate({signature: [tensors]}, num_threads=_THREADS).items():
            if name not in found:
                found[name] = dict(seen)
                continue
            for key, pick in (("min", np.minimum), ("max", np.maximum)):
                if key in seen:
                    found[name][key] = pick(found[name][key], seen[key])
    return found


def operators(model: str, *, weights_alone: bool) -> dict[str, Any]:
    """How many operators of the graph read or write integers of a quantized tensor, and which do not. Of
    `weights_alone`, those that read what such a tensor was turned into."""
    kernels = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    graph = litert.Interpreter(model, experimental_op_resolver_type=kernels)
    quantized_tensors = {
        tensor["index"]
        for tensor in graph.get_tensor_details()
        if np.dtype(tensor["dtype"]).kind in "iu" and len(tensor["quantization_parameters"]["scales"])
    }
    floating: dict[str, int] = {}
    quantized = 0
    every = graph._get_ops_details()
    if weights_alone:
        turned = [op for op in every if op["op_name"] == "DEQUANTIZE"]
        quantized_tensors |= {index for op in turned for index in op["outputs"]}
    operators = [op for op in every if op["op_name"] not in ("QUANTIZE", "DEQUANTIZE")]
    for op in operators:
        if quantized_tensors.intersection([*op["inputs"], *op["outputs"]]):
            quantized += 1
        else:
            floating[op["op_name"]] = floating.get(op["op_name"], 0) + 1
    return {"quantized": quantized, "total": len(operators), "floating": floating}


def load_sets(path: str) -> list[dict[str, Any]]:
    with np.load(path, allow_pickle=False) as archive:
        names = json.loads(str(archive["names"]))
        return [
            {name: archive[f"{index}_{position}"] for position, name in enumerate(of_set)}
            for index, of_set in enumerate(names)
        ]


if __name__ == "__main__":
    sys.exit(main())
