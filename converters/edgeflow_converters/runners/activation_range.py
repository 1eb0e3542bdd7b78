"""The largest value inside a model over samples. Spec: model, samples. Answer: largest, tensor.

ncnn computes in float16 where the CPU can; a value beyond 65504 becomes infinity there, on a device that
the host cannot imitate. So the range is looked up here, in float32.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edgeflow_converters.arrays import load_sets
from edgeflow_converters.ort_session import Session
from edgeflow_converters.rewrites.graph import inferred_types
from edgeflow_converters.runners.process import Json, serve


def work(spec: Json) -> Json:
    import numpy as np
    import onnx

    model = onnx.load(spec["model"])
    present = {value.name for value in model.graph.output}
    inner = {name for node in model.graph.node for name in node.output if name} - present
    for name, tensor in inferred_types(model).items():
        if name in inner and tensor.elem_type == onnx.TensorProto.FLOAT:
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, tensor.elem_type, None))
    path = Path("all-values.onnx")
    onnx.save(model, path)
    session = Session(path, optimise=False)
    largest, where = 0.0, ""
    for sample in load_sets(Path(spec["samples"])):
        for name, array in {**sample, **session.run(sample)}.items():
            if array.dtype.kind == "f" and array.size:
                reached = float(np.max(np.abs(array), where=np.isfinite(array), initial=0.0))
                if reached > largest:
                    largest, where = reached, name
    return {"largest": largest, "tensor": where}


if __name__ == "__main__":
    sys.exit(serve(work))
