"""All tensors inside a model over samples, by ONNX Runtime in float32. Spec: model, samples. Answer: tensors,
{name: {"dtype", "shape", "largest"}}: of its last sample, and the largest finite |value| over all of them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edgeflow_converters.arrays import load_sets
from edgeflow_converters.ort_session import Session
from edgeflow_converters.runners.process import Json, serve


def work(spec: Json) -> Json:
    import numpy as np
    import onnx

    model = onnx.load(spec["model"])
    present = {value.name for value in model.graph.output}
    inner = [name for node in model.graph.node for name in node.output if name and name not in present]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner)
    path = Path("all-values.onnx")
    onnx.save(model, path)
    session = Session(path, optimise=False)
    path.unlink()
    tensors: dict[str, Json] = {}
    for sample in load_sets(Path(spec["samples"])):
        for name, array in {**sample, **session.run(sample)}.items():
            if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
                continue  # a sequence, or strings
            values = array if array.dtype.kind == "f" else array.astype(np.float64)
            reached = float(np.max(np.abs(values), where=np.isfinite(values), initial=0.0))
            before = tensors.get(name, {}).get("largest", 0.0)
            tensors[name] = {
                "dtype": str(array.dtype),
                "shape": list(array.shape),
                "largest": max(before, reached),
            }
    return {"tensors": tensors}


if __name__ == "__main__":
    sys.exit(serve(work))
