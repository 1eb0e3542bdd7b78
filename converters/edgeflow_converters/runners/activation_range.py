"""Which values inside a model pass a limit over samples. Spec: model, samples, limit. Answer: over, a list of
{"tensor", "node", "largest"} in the graph's order, the node as `Op node 'name'`.

ncnn and MNN compute in float16 where the CPU can; a value beyond 65504 becomes infinity there, on a device
that the host cannot imitate. So the range is looked up here, in float32.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edgeflow_converters.arrays import load_sets
from edgeflow_converters.inspect import node_label
from edgeflow_converters.ort_session import Session
from edgeflow_converters.rewrites.graph import inferred_types
from edgeflow_converters.runners.process import Json, serve


def work(spec: Json) -> Json:
    import numpy as np
    import onnx

    model = onnx.load(spec["model"])
    present = {value.name for value in model.graph.output}
    makers = {name: node_label(node) for node in model.graph.node for name in node.output if name}
    for name, tensor in inferred_types(model).items():
        if name in makers.keys() - present and tensor.elem_type == onnx.TensorProto.FLOAT:
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, tensor.elem_type, None))
    path = Path("all-values.onnx")
    onnx.save(model, path)
    session = Session(path, optimise=False)
    path.unlink()
    largest: dict[str, float] = {}
    for sample in load_sets(Path(spec["samples"])):
        for name, array in {**sample, **session.run(sample)}.items():
            if array.dtype.kind == "f" and array.size:
                reached = float(np.max(np.abs(array), where=np.isfinite(array), initial=0.0))
                largest[name] = max(reached, largest.get(name, 0.0))
    over = [
        {"tensor": name, "node": makers.get(name, f"input {name!r}"), "largest": largest[name]}
        for name in (*(name for name in largest if name not in makers), *makers)
        if largest.get(name, 0.0) > spec["limit"]
    ]
    return {"over": over}


if __name__ == "__main__":
    sys.exit(serve(work))
