"""ncnn on the CPU. Files: `param` (text) and `bin`."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

import ncnn
import numpy as np

from edgeflow_agent.backends.base import RuntimeInfo, require_inputs
from edgeflow_agent.faults import Fault
from edgeflow_agent.wire import Tensor

# Layers that may hold int8 weights, and the parameter that says so: int8_scale_term (ncnn src/layer/*.cpp).
INT8_SCALE_TERM = {"Convolution": "8", "ConvolutionDepthWise": "8", "InnerProduct": "8"}
DTYPES = ("float32", "int32")  # what a four-byte Mat can carry


def create() -> NcnnBackend:
    """A backend with no model."""
    return NcnnBackend()


class NcnnBackend:
    """One ncnn network. Options are the fields of ncnn::Option by name, booleans and integers.

    ncnn prints why it failed to stderr, which the core collects; here only return codes are seen. It checks
    no input's shape, and a wrong one computes something: the artifact's shapes are the only guard.
    """

    def load(self, files: Mapping[str, str], options: Mapping[str, Any], threads: int) -> None:
        self._net = ncnn.Net()
        self._names = [
            name
            for name in dir(self._net.opt)
            if not name.startswith("_") and isinstance(getattr(self._net.opt, name), (bool, int))
        ]
        self._net.opt.num_threads = threads
        for name, value in options.items():
            self._apply(name, value)
        if self._net.opt.use_vulkan_compute:
            raise Fault("unsupported_accelerator", "ncnn's Vulkan is not served by this agent; use cpu")
        for role, load in (("param", self._net.load_param), ("bin", self._net.load_model)):
            code = load(files[role])
            if code != 0:
                raise Fault("load_failed", "ncnn cannot load the .%s file (code %d)" % (role, code))
        self._input_names = list(self._net.input_names())
        self._output_names = sorted(self._net.output_names(), key=_output_order)
        if not self._output_names:
            raise Fault("load_failed", "the ncnn network has no output blob")
        self._param_path = files["param"]
        self._bound: List[Any] = []
        self._results: List[Any] = []

    def inputs(self) -> List[str]:
        return list(self._input_names)

    def outputs(self) -> List[str]:
        return list(self._output_names)

    def bind(self, tensors: Sequence[Tensor]) -> None:
        require_inputs(self._input_names, tensors)
        bound = []
        for tensor in tensors:
            if tensor.dtype not in DTYPES or not 1 <= len(tensor.shape) <= 4 or 0 in tensor.shape:
                raise Fault(
                    "bad_input",
                    "input %s: ncnn takes %s of 1 to 4 axes without a batch axis, got %s%s"
                    % (tensor.name, " or ".join(DTYPES), tensor.dtype, list(tensor.shape)),
                )
            array = np.frombuffer(tensor.data, tensor.dtype).reshape(tensor.shape).copy()
            # A Mat made from an array borrows its memory: the clone owns its own, padded as ncnn wants it.
            bound.append((tensor.name, ncnn.Mat(array).clone()))
        self._bound = bound

    def run(self) -> None:
        extractor = self._net.create_extractor()
        for name, mat in self._bound:
            code = extractor.input(name, mat)
            if code != 0:
                raise Fault("run_failed", "ncnn refuses input %s (code %d)" % (name, code))
        results = []
        for name in self._output_names:
            code, mat = extractor.extract(name)
            if code != 0:
                raise Fault("run_failed", "ncnn cannot compute output %s (code %d)" % (name, code))
            results.append(mat)
        self._results = results

    def read(self) -> List[Tensor]:
        found = []
        for index, name in enumerate(self._output_names):
            mat = self._results[index]
            if mat.empty() or mat.elempack != 1 or mat.elemsize != 4:
                raise Fault("run_failed", "ncnn's output %s is empty or not float32" % name)
            array = np.array(mat)  # copies row by row, without the padding between channels
            found.append(Tensor(name, "float32", array.shape, array.tobytes()))
        return found

    def info(self) -> RuntimeInfo:
        options: Dict[str, Any] = {name: getattr(self._net.opt, name) for name in self._names}
        return RuntimeInfo("ncnn", ncnn.__version__, self._compute_dtype(), options)

    def _apply(self, name: str, value: Any) -> None:
        if name not in self._names or name == "num_threads":
            known = " ".join(known for known in self._names if known != "num_threads")
            raise Fault("bad_request", "ncnn has no option %s; known: %s" % (name, known))
        if type(getattr(self._net.opt, name)) is not type(value):
            raise Fault("bad_request", "ncnn's option %s does not take %r" % (name, value))
        setattr(self._net.opt, name, value)
        if getattr(self._net.opt, name) != value:
            raise Fault("bad_request", "ncnn did not take option %s=%r" % (name, value))

    def _compute_dtype(self) -> str:
        """The dtype of arithmetic and activations: int8 layers, bf16 activations, fp16 arithmetic, else fp32.

        fp16 arithmetic exists only on ARM with asimdhp; elsewhere use_fp16_* stores weights in half and
        computes in float (ncnn src/net.cpp, convert_layout; src/layer/arm/convolution_arm.cpp).
        """
        told = self._net.opt
        if told.use_int8_inference and _has_int8(self._param_path):
            return "int8"
        if told.use_fp16_storage and told.use_fp16_arithmetic and ncnn.cpu_support_arm_asimdhp():
            return "fp16"
        return "bf16" if told.use_bf16_storage else "fp32"


def _output_order(name: str) -> Any:
    """out0, out1, ..., out10: by number; net.output_names() has no order. Other names come after, by name."""
    digits = name[3:] if name.startswith("out") else ""
    return (0, int(digits), name) if digits.isdigit() else (1, 0, name)


def _has_int8(param_path: str) -> bool:
    with open(param_path, encoding="utf-8", errors="replace") as file:
        for line in file:
            fields = line.split()
            key = INT8_SCALE_TERM.get(fields[0]) if fields else None
            if key and any(field.startswith(key + "=") and field != key + "=0" for field in fields):
                return True
    return False
