"""TensorFlow Lite models by LiteRT, on the CPU. File: `model` (.tflite)."""

from __future__ import annotations

import importlib.metadata
from typing import Any, List, Mapping, Sequence

import numpy as np
from ai_edge_litert import interpreter as litert

from edgeflow_agent.backends.base import RuntimeInfo, require_inputs
from edgeflow_agent.faults import Fault
from edgeflow_agent.wire import ITEM_BYTES, Tensor

PACKAGE = "ai-edge-litert"


def create() -> TfliteBackend:
    """A backend with no model."""
    return TfliteBackend()


class TfliteBackend:
    """One interpreter. Option: `xnnpack` (default true): false computes by LiteRT's own kernels.

    Names are those of the graph's tensors, in the graph's order. LiteRT prints what it does to stderr, which
    the core collects.
    """

    def load(self, files: Mapping[str, str], options: Mapping[str, Any], threads: int) -> None:
        for name, value in options.items():
            if name != "xnnpack" or not isinstance(value, bool):
                raise Fault(
                    "bad_request",
                    "tflite has no option %s=%r; known: true or false for xnnpack" % (name, value),
                )
        self._xnnpack: bool = options.get("xnnpack", True)
        self._threads = threads
        kernels = litert.OpResolverType
        try:
            self._interpreter = litert.Interpreter(
                files["model"],
                num_threads=threads,
                experimental_op_resolver_type=(
                    kernels.BUILTIN if self._xnnpack else kernels.BUILTIN_WITHOUT_DEFAULT_DELEGATES
                ),
            )
            self._interpreter.allocate_tensors()
        except Exception as error:
            raise Fault("load_failed", "LiteRT cannot load the model: %s" % _one_line(error)) from error
        self._inputs = {str(value["name"]): value for value in self._interpreter.get_input_details()}
        self._outputs = self._interpreter.get_output_details()
        for value in (*self._inputs.values(), *self._outputs):
            if np.dtype(value["dtype"]).name not in ITEM_BYTES:
                raise Fault(
                    "load_failed", "%s holds %s, which is not served" % (value["name"], value["dtype"])
                )
        for name, value in self._inputs.items():
            if -1 in value["shape_signature"]:
                raise Fault(
                    "load_failed",
                    "%s is %s: an axis is free; fix it when converting"
                    % (name, list(value["shape_signature"])),
                )

    def inputs(self) -> List[str]:
        return list(self._inputs)

    def outputs(self) -> List[str]:
        return [str(value["name"]) for value in self._outputs]

    def bind(self, tensors: Sequence[Tensor]) -> None:
        require_inputs(list(self._inputs), tensors)
        for tensor in tensors:
            wanted = self._inputs[tensor.name]
            dtype, shape = np.dtype(wanted["dtype"]).name, wanted["shape"].tolist()
            if tensor.dtype != dtype or list(tensor.shape) != shape:
                raise Fault(
                    "bad_input",
                    "input %s is %s%s, got %s%s"
                    % (tensor.name, dtype, shape, tensor.dtype, list(tensor.shape)),
                )
            array = np.frombuffer(tensor.data, tensor.dtype).reshape(tensor.shape)
            self._interpreter.set_tensor(wanted["index"], array)

    def run(self) -> None:
        try:
            self._interpreter.invoke()
        except Exception as error:
            raise Fault("run_failed", "LiteRT: %s" % _one_line(error)) from error

    def read(self) -> List[Tensor]:
        found = []
        for value in self._outputs:
            array = self._interpreter.get_tensor(value["index"])  # a copy
            found.append(Tensor(str(value["name"]), array.dtype.name, array.shape, array.tobytes()))
        return found

    def info(self) -> RuntimeInfo:
        options = {"xnnpack": self._xnnpack, "num_threads": self._threads}
        return RuntimeInfo("tflite", importlib.metadata.version(PACKAGE), self._compute_dtype(), options)

    def _compute_dtype(self) -> str:
        """ "int8" where an operator takes quantized bytes: its arithmetic is then in integers; else "fp32".

        Weights of half precision, and those that only a DEQUANTIZE takes, are widened before. A delegate
        stands
        for operators that are listed too.
        """
        quantized = {
            tensor["index"]
            for tensor in self._interpreter.get_tensor_details()
            if np.dtype(tensor["dtype"]).name in ("int8", "uint8")
            and len(tensor["quantization_parameters"]["scales"])
        }
        computes = any(
            quantized.intersection(operator["inputs"])
            for operator in self._interpreter._get_ops_details()
            if operator["op_name"] not in ("DEQUANTIZE", "DELEGATE")
        )
        return "int8" if computes else "fp32"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:400]
