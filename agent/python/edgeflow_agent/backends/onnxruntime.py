"""ONNX Runtime on the CPU. File: `model` (.onnx)."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

import numpy as np
import onnxruntime as ort

from edgeflow_agent.backends.base import RuntimeInfo, require_inputs
from edgeflow_agent.faults import Fault
from edgeflow_agent.wire import Tensor

# ONNX Runtime's type names (onnxruntime/core/framework/data_types.cc) -> ours.
DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int16)": "int16",
    "tensor(uint16)": "uint16",
    "tensor(int32)": "int32",
    "tensor(uint32)": "uint32",
    "tensor(int64)": "int64",
    "tensor(uint64)": "uint64",
    "tensor(bool)": "bool",
}
LEVELS = {
    "disable": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "layout": "ORT_ENABLE_LAYOUT",
    "all": "ORT_ENABLE_ALL",
}
FLAGS = ("enable_cpu_mem_arena", "enable_mem_pattern", "enable_mem_reuse", "use_deterministic_compute")
SPINNING = "session.intra_op.allow_spinning"
# NodeProto.op_type is field 4, a string: tag 0x22, length, name (onnx/onnx.proto).
INT8_OPS = tuple(
    b"\x22" + bytes([len(op)]) + op
    for op in (
        b"QLinearConv", b"QLinearMatMul", b"ConvInteger", b"MatMulInteger", b"DequantizeLinear", b"QGemm",
        b"DynamicQuantizeLinear",
    )
)  # fmt: skip


def create() -> OnnxRuntimeBackend:
    """A backend with no model."""
    return OnnxRuntimeBackend()


class OnnxRuntimeBackend:
    """One inference session on CPUExecutionProvider.

    Options: graph_optimization_level (disable, basic, extended, layout, all), allow_spinning, and the flags
    of SessionOptions in FLAGS. An unknown name is an error: ONNX Runtime itself would accept it silently.
    """

    def load(self, files: Mapping[str, str], options: Mapping[str, Any], threads: int) -> None:
        ort.disable_telemetry_events()
        ort.set_default_logger_severity(3)
        session_options = ort.SessionOptions()
        session_options.intra_op_num_threads = threads
        session_options.inter_op_num_threads = 1
        session_options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        session_options.log_severity_level = 3
        # ONNX Runtime's own default (onnxruntime_session_options_config_keys.h), set so that it reads back.
        session_options.add_session_config_entry(SPINNING, "1")
        for name, value in options.items():
            _apply(session_options, name, value)
        try:
            self._session = ort.InferenceSession(
                files["model"], session_options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise Fault("load_failed", "ONNX Runtime cannot load the model: %s" % _one_line(error)) from error
        self._session.disable_fallback()
        if self._session.get_providers() != ["CPUExecutionProvider"]:
            raise Fault("load_failed", "ONNX Runtime chose %s" % self._session.get_providers())
        self._path = files["model"]
        self._take_ports()

    def _take_ports(self) -> None:
        """What goes in and comes out of the session. Raises Fault for what is no tensor."""
        self._inputs = {value.name: value for value in self._session.get_inputs()}
        self._output_names = [value.name for value in self._session.get_outputs()]
        for value in (*self._inputs.values(), *self._session.get_outputs()):
            if value.type not in DTYPES:
                raise Fault("load_failed", "%s is a %s; only tensors are served" % (value.name, value.type))
        self._feeds: Dict[str, Any] = {}
        self._results: List[Any] = []

    def inputs(self) -> List[str]:
        return list(self._inputs)

    def outputs(self) -> List[str]:
        return list(self._output_names)

    def bind(self, tensors: Sequence[Tensor]) -> None:
        require_inputs(list(self._inputs), tensors)
        for tensor in tensors:
            wanted = self._inputs[tensor.name]
            fits = len(wanted.shape) == len(tensor.shape) and all(
                not isinstance(axis, int) or axis == tensor.shape[index]
                for index, axis in enumerate(wanted.shape)
            )
            if DTYPES[wanted.type] != tensor.dtype or not fits:
                raise Fault(
                    "bad_input",
                    "input %s is %s%s, got %s%s"
                    % (tensor.name, DTYPES[wanted.type], wanted.shape, tensor.dtype, list(tensor.shape)),
                )
        # A copy: the frame's bytes may lie unaligned.
        self._feeds = {
            tensor.name: np.frombuffer(tensor.data, tensor.dtype).reshape(tensor.shape).copy()
            for tensor in tensors
        }

    def run(self) -> None:
        try:
            self._results = self._session.run(self._output_names, self._feeds)
        except Exception as error:
            raise Fault("run_failed", "ONNX Runtime: %s" % _one_line(error)) from error

    def read(self) -> List[Tensor]:
        found = []
        for index, name in enumerate(self._output_names):
            array = np.ascontiguousarray(self._results[index])
            found.append(Tensor(name, str(array.dtype), np.shape(self._results[index]), array.tobytes()))
        return found

    def info(self) -> RuntimeInfo:
        told = self._session.get_session_options()
        options: Dict[str, Any] = {name: bool(getattr(told, name)) for name in FLAGS}
        options["graph_optimization_level"] = next(
            key for key, member in LEVELS.items() if member == told.graph_optimization_level.name
        )
        options["allow_spinning"] = told.get_session_config_entry(SPINNING) == "1"
        options["intra_op_num_threads"] = told.intra_op_num_threads
        options["inter_op_num_threads"] = told.inter_op_num_threads
        return RuntimeInfo("onnxruntime", ort.__version__, _compute_dtype(self._path), options)


def _apply(session_options: Any, name: str, value: Any) -> None:
    if name == "graph_optimization_level" and value in LEVELS:
        session_options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, LEVELS[value])
    elif name == "allow_spinning" and isinstance(value, bool):
        session_options.add_session_config_entry(SPINNING, "1" if value else "0")
    elif name in FLAGS and isinstance(value, bool):
        setattr(session_options, name, value)
    else:
        raise Fault(
            "bad_request",
            "onnxruntime has no option %s=%r; known: graph_optimization_level (%s), and true or false for %s"
            % (name, value, " ".join(LEVELS), " ".join(("allow_spinning", *FLAGS))),
        )


def _compute_dtype(path: str) -> str:
    """ "int8" where the graph holds quantized operators, else "fp32".

    Half-precision graphs are "fp32" too: the CPU provider casts them to float around its kernels
    (onnxruntime/core/optimizer/insert_cast_transformer.cc).
    """
    with open(path, "rb") as file:
        data = file.read()
    return "int8" if any(op in data for op in INT8_OPS) else "fp32"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:400]
