"""Paddle Lite on the CPU. File: `model` (.nb, as Paddle Lite's opt writes it for this processor).

Paddle Lite ends the process where it meets an error, after it printed what was wrong; the core collects that.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np

from edgeflow_agent.backends import paddlelite_model
from edgeflow_agent.backends.base import RuntimeInfo, require_inputs
from edgeflow_agent.faults import Fault
from edgeflow_agent.wire import Tensor
from paddlelite import lite

DTYPES = {
    "FP32": "float32", "FP64": "float64", "INT8": "int8", "UINT8": "uint8", "INT16": "int16",
    "INT32": "int32", "INT64": "int64", "BOOL": "bool",
}  # fmt: skip
POWER_MODES = (
    "LITE_POWER_HIGH", "LITE_POWER_LOW", "LITE_POWER_FULL",
    "LITE_POWER_NO_BIND", "LITE_POWER_RAND_HIGH", "LITE_POWER_RAND_LOW",
)  # fmt: skip
NO_BIND = "LITE_POWER_NO_BIND"


def create() -> PaddleLiteBackend:
    """A backend with no model. Raises Fault backend_missing beside a numpy that Paddle Lite cannot read."""
    if int(np.__version__.split(".", 1)[0]) >= 2:
        raise Fault(
            "backend_missing",
            "paddlelite copies nothing out of arrays of numpy %s, and does not say so: install numpy<2"
            % np.__version__,
        )
    return PaddleLiteBackend()


class PaddleLiteBackend:
    """One predictor. Option: `power_mode` (which cores are used), on ARM.

    The wheel for x86 takes neither threads nor a power mode: threads are told to the OpenMP and the MKL that
    it brings and computes with.
    """

    def load(self, files: Mapping[str, str], options: Mapping[str, Any], threads: int) -> None:
        for name in options:
            if name != "power_mode":
                raise Fault("bad_request", "paddlelite has no option %s; known: power_mode" % name)
        self._power_mode = options.get("power_mode", NO_BIND)
        if self._power_mode not in POWER_MODES:
            raise Fault(
                "bad_request",
                "paddlelite's option power_mode is one of %s, not %r"
                % (" ".join(POWER_MODES), self._power_mode),
            )
        model = paddlelite_model.read_model(files["model"])
        paddlelite_model.require_target(model)
        self._compute_dtype = paddlelite_model.compute_dtype(model)
        config = lite.MobileConfig()
        self._tell_power_mode(config)
        config.set_model_from_file(files["model"])
        if hasattr(config, "set_threads"):
            config.set_threads(threads)
            self._predictor = lite.create_paddle_predictor(config)
            self._threads: Optional[int] = threads
        else:
            self._predictor = lite.create_paddle_predictor(config)
            self._threads = _tell_math_threads(threads)
        self._inputs: Dict[str, Any] = {}
        self._dtypes: Dict[str, str] = {}
        self._shapes = model.inputs
        for index, name in enumerate(self._predictor.get_input_names()):
            if name not in model.inputs:
                raise Fault("load_failed", "the file does not tell the shape of input %s" % name)
            self._inputs[name] = self._predictor.get_input(index)
            precision = self._inputs[name].precision().name
            if precision not in DTYPES:
                raise Fault(
                    "load_failed", "%s holds elements of %s, which are not served" % (name, precision)
                )
            self._dtypes[name] = DTYPES[precision]
        if not self._predictor.get_output_names():
            raise Fault("load_failed", "the Paddle Lite model has no output")

    def inputs(self) -> List[str]:
        return list(self._inputs)

    def outputs(self) -> List[str]:
        return list(self._predictor.get_output_names())

    def bind(self, tensors: Sequence[Tensor]) -> None:
        require_inputs(list(self._inputs), tensors)
        for tensor in tensors:
            dtype, shape = self._dtypes[tensor.name], self._shapes[tensor.name]
            if tensor.dtype != dtype or not _fits(shape, tensor.shape):
                raise Fault(
                    "bad_input",
                    "input %s is %s%s, got %s%s"
                    % (tensor.name, dtype, shape, tensor.dtype, list(tensor.shape)),
                )
            array = np.frombuffer(tensor.data, tensor.dtype).reshape(tensor.shape)
            self._inputs[tensor.name].from_numpy(array)  # a copy

    def run(self) -> None:
        self._predictor.run()

    def read(self) -> List[Tensor]:
        found = []
        for index, name in enumerate(self.outputs()):
            array = self._predictor.get_output(index).numpy()
            found.append(Tensor(name, array.dtype.name, array.shape, array.tobytes()))
        return found

    def info(self) -> RuntimeInfo:
        options = {"power_mode": self._power_mode, "num_threads": self._threads}
        return RuntimeInfo("paddlelite", self._predictor.get_version(), self._compute_dtype, options)

    def _tell_power_mode(self, config: Any) -> None:
        if hasattr(config, "set_power_mode"):
            config.set_power_mode(getattr(lite.PowerMode, self._power_mode))
        elif self._power_mode != NO_BIND:
            raise Fault(
                "bad_request", "Paddle Lite does not take power_mode %s on this device" % self._power_mode
            )


def _fits(wanted: Sequence[int], given: Sequence[int]) -> bool:
    if len(wanted) != len(given):
        return False
    return all(axis in (-1, given[place]) for place, axis in enumerate(wanted))


def _tell_math_threads(threads: int) -> Optional[int]:
    """To the libraries that Paddle Lite has loaded by now; gives what OpenMP took, None where there is none.

    A predictor sets MKL to one thread when it is made.
    """
    folder = os.path.join(os.path.dirname(lite.__file__), "libs")
    openmp = _loaded(os.path.join(folder, "libiomp5.so"))
    mkl = _loaded(os.path.join(folder, "libmklml_intel.so"))
    if mkl is not None:
        mkl.MKL_Set_Num_Threads(threads)
    if openmp is None:
        return None
    openmp.omp_set_num_threads(threads)
    return int(openmp.omp_get_max_threads())


def _loaded(path: str) -> Optional[ctypes.CDLL]:
    try:
        return ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
    except (AttributeError, OSError):  # not loaded, or a system without these modes
        return None
