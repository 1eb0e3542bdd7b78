"""OpenVINO on the CPU. Files: `xml` and `bin`."""

from __future__ import annotations

import sys
from typing import Any, Dict, List, Mapping, Sequence

import numpy as np

from edgeflow_agent.backends.base import RuntimeInfo, require_inputs
from edgeflow_agent.faults import Fault
from edgeflow_agent.wire import Tensor

# OpenVINO's converters, which its package imports, would tell its maker of their use by this one.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
import openvino as ov  # noqa: E402

CHOICES = {
    "inference_precision_hint": ("f32", "f16", "bf16"),
    "performance_hint": ("LATENCY", "THROUGHPUT"),
}
DTYPES = (
    "float32",
    "float16",
    "float64",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "bool",
)


def create() -> OpenvinoBackend:
    """A backend with no model."""
    return OpenvinoBackend()


class OpenvinoBackend:
    """One compiled model on the CPU, one stream. Options: CHOICES, by OpenVINO's names in lower case.

    fp32 unless told otherwise: OpenVINO's own default is the fastest arithmetic that the CPU has.
    """

    def load(self, files: Mapping[str, str], options: Mapping[str, Any], threads: int) -> None:
        told = {"inference_precision_hint": "f32", "performance_hint": "LATENCY"}
        for name, value in options.items():
            if name not in CHOICES or value not in CHOICES[name]:
                known = "; ".join("%s (%s)" % (key, " ".join(CHOICES[key])) for key in sorted(CHOICES))
                raise Fault("bad_request", "openvino has no option %s=%r; known: %s" % (name, value, known))
            told[name] = value
        config: Dict[str, Any] = {name.upper(): value for name, value in told.items()}
        config.update(INFERENCE_NUM_THREADS=threads, NUM_STREAMS=1, ENABLE_CPU_PINNING=False)
        core = ov.Core()
        try:
            self._model = core.compile_model(core.read_model(files["xml"], files["bin"]), "CPU", config)
            self._request = self._model.create_infer_request()
        except Exception as error:
            raise Fault("load_failed", "OpenVINO cannot load the model: %s" % _last_line(error)) from error
        self._inputs = {port.get_any_name(): port for port in self._model.inputs}
        self._output_names = [port.get_any_name() for port in self._model.outputs]
        for port in (*self._model.inputs, *self._model.outputs):
            dtype = port.get_element_type().to_dtype().name
            if dtype not in DTYPES:
                raise Fault("load_failed", "%s holds %s, which is not served" % (port.get_any_name(), dtype))
            if port.get_partial_shape().is_dynamic and port in self._model.inputs:
                raise Fault("load_failed", "the shape of input %s is not fixed" % port.get_any_name())
        self._kept: List[Any] = []

    def inputs(self) -> List[str]:
        return list(self._inputs)

    def outputs(self) -> List[str]:
        return list(self._output_names)

    def bind(self, tensors: Sequence[Tensor]) -> None:
        require_inputs(list(self._inputs), tensors)
        self._kept = []
        for tensor in tensors:
            port = self._inputs[tensor.name]
            dtype, shape = port.get_element_type().to_dtype().name, list(port.get_shape())
            if tensor.dtype != dtype or list(tensor.shape) != shape:
                raise Fault(
                    "bad_input",
                    "input %s is %s%s, got %s%s"
                    % (tensor.name, dtype, shape, tensor.dtype, list(tensor.shape)),
                )
            # A copy: the frame's bytes may lie unaligned; OpenVINO uses this memory as it is.
            array = np.frombuffer(tensor.data, tensor.dtype).reshape(tensor.shape).copy()
            held = ov.Tensor(array, shared_memory=True)
            self._kept.append((array, held))
            self._request.set_tensor(port, held)

    def run(self) -> None:
        try:
            self._request.infer()
        except Exception as error:
            raise Fault("run_failed", "OpenVINO: %s" % _last_line(error)) from error

    def read(self) -> List[Tensor]:
        found = []
        for port in self._model.outputs:
            array = np.array(self._request.get_tensor(port).data)
            found.append(Tensor(port.get_any_name(), array.dtype.name, array.shape, array.tobytes()))
        return found

    def info(self) -> RuntimeInfo:
        precision = self._model.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        options = {
            "inference_precision_hint": precision,
            "performance_hint": str(self._model.get_property("PERFORMANCE_HINT")).rsplit(".", 1)[-1],
            "inference_num_threads": int(self._model.get_property("INFERENCE_NUM_THREADS")),
            "num_streams": int(self._model.get_property("NUM_STREAMS")),
        }
        return RuntimeInfo("openvino", ov.__version__.split("-")[0], self._compute_dtype(precision), options)

    def _compute_dtype(self, precision: str) -> str:
        """int8 where the plugin runs a convolution or a product in 8 bits, which its own graph tells."""
        for node in self._model.get_runtime_model().get_ops():
            told = node.get_rt_info()
            kind = str(_text(told, "layerType"))
            if kind in ("Convolution", "FullyConnected", "MatMul") and _text(told, "runtimePrecision") in (
                "i8",
                "u8",
            ):
                return "int8"
        return {"f32": "fp32", "f16": "fp16", "bf16": "bf16"}.get(precision, precision)


def _text(told: Any, name: str) -> str:
    return str(told[name].value) if name in told else ""


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:400] if lines else type(error).__name__
