"""Runs an MNN product over samples, by the same engine and options as the agent. One process per product.

Spec: model, options, inputs, outputs (TensorSpec), samples, result (.npz files). Only MNN's extension is
imported: its package would bring image, audio and language-model code with it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_converters.arrays import load_sets, save_sets
from edgeflow_converters.errors import ConverterFailed
from edgeflow_converters.runners.process import Json, serve
from edgeflow_converters.tensors import TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeflow_converters.tensors import Tensors


def work(spec: Json) -> Json:
    import _mnncengine as mnn

    inputs = [TensorSpec.from_json(item) for item in spec["inputs"]]
    outputs = [TensorSpec.from_json(item) for item in spec["outputs"]]
    try:
        net = mnn.Interpreter(spec["model"])
        session = net.createSession({**spec["options"], "backend": "CPU", "numThread": 1})
    except Exception as error:
        raise ConverterFailed(f"MNN cannot load the model: {' '.join(str(error).split())}") from error
    if session is None:
        raise ConverterFailed("MNN cannot make a session of the model")
    present = (net.getSessionInputAll(session), net.getSessionOutputAll(session))
    for kind, wanted, there in zip(("input", "output"), (inputs, outputs), present, strict=True):
        if sorted(there) != sorted(item.runtime_name for item in wanted):
            raise ConverterFailed(
                f"the MNN model has {kind}s {sorted(there)}, "
                f"expected {sorted(item.runtime_name for item in wanted)}"
            )
    results = []
    for sample in load_sets(Path(spec["samples"])):
        held = [_feed(mnn, item, present[0][item.runtime_name], sample) for item in inputs]
        code = net.runSession(session)
        if code != 0:
            raise ConverterFailed(f"MNN cannot run the model (code {code})")
        results.append({item.name: _read(mnn, item, present[1][item.runtime_name]) for item in outputs})
        del held
    save_sets(Path(spec["result"]), results)
    return {}


def _feed(mnn: Any, spec: TensorSpec, wanted: Any, sample: Tensors) -> Any:
    """Copies a sample into an input. What is returned owns the memory and lives until the model ran."""
    import numpy as np

    array = spec.to_runtime(sample[spec.name])
    dtype = np.asarray(wanted.getNumpyData()).dtype
    if dtype != array.dtype or tuple(wanted.getShape()) != spec.runtime_shape:
        raise ConverterFailed(
            f"MNN takes input {spec.runtime_name!r} as {dtype}{list(wanted.getShape())}, "
            f"expected {array.dtype}{list(spec.runtime_shape)}"
        )
    host = mnn.Tensor(spec.runtime_shape, wanted.getDataType(), array, wanted.getDimensionType())
    wanted.copyFrom(host)
    return array, host


def _read(mnn: Any, spec: TensorSpec, tensor: Any) -> NDArray[Any]:
    """An output in the model's layout; one of another size stays as it is, for the gate to name its shape."""
    import numpy as np

    shape = tuple(tensor.getShape())
    dense = np.zeros(shape, np.asarray(tensor.getNumpyData()).dtype)
    host = mnn.Tensor(shape, tensor.getDataType(), dense, tensor.getDimensionType())
    tensor.copyToHostTensor(host)
    array = np.array(host.getNumpyData()).reshape(shape)
    return spec.from_runtime(array) if shape == spec.runtime_shape else array


if __name__ == "__main__":
    sys.exit(serve(work))
