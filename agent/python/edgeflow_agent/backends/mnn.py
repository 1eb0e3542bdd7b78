"""MNN on the CPU. File: `model` (.mnn).

Only MNN's extension is imported: its package would bring image, audio and language-model code with it, and
its `MNN.tools` runs pip and tells its maker of it.
"""

from __future__ import annotations

import platform
import struct
from typing import Any, Dict, List, Mapping, Sequence

import _mnncengine as mnn
import numpy as np

from edgeflow_agent.backends.base import RuntimeInfo, require_inputs
from edgeflow_agent.faults import Fault
from edgeflow_agent.wire import Tensor

MODES = ("normal", "high", "low")
SETTINGS = ("precision", "memory", "power")
# Interpreter::SessionInfoCode and MNNForwardType (MNN include/MNN/Interpreter.hpp, MNNForwardType.h).
INFO_BACKENDS, INFO_THREADS = 2, 4
CPU_EXTENSION = 13


def create() -> MnnBackend:
    """A backend with no model."""
    return MnnBackend()


class MnnBackend:
    """One session on the CPU. Options: precision, memory and power (normal, high, low).

    MNN keeps inputs and outputs by name: their order is that of the names. It prints why it failed, which the
    core collects.
    """

    def load(self, files: Mapping[str, str], options: Mapping[str, Any], threads: int) -> None:
        self._told: Dict[str, Any] = dict.fromkeys(SETTINGS, "normal")
        for name, value in options.items():
            if name not in SETTINGS:
                raise Fault("bad_request", "mnn has no option %s; known: memory power precision" % name)
            if value not in MODES:  # MNN itself would take it for "normal"
                raise Fault(
                    "bad_request", "mnn's option %s is one of %s, not %r" % (name, " ".join(MODES), value)
                )
            self._told[name] = value
        try:
            self._net = mnn.Interpreter(files["model"])
            self._session = self._net.createSession(dict(self._told, backend="CPU", numThread=threads))
        except Exception as error:
            raise Fault(
                "load_failed", "MNN cannot load the model: %s" % " ".join(str(error).split())
            ) from error
        if self._session is None:
            raise Fault("load_failed", "MNN cannot make a session of the model")
        self._inputs = self._net.getSessionInputAll(self._session)
        self._outputs = self._net.getSessionOutputAll(self._session)
        if not self._outputs:
            raise Fault("load_failed", "the MNN model has no output")
        self._kept: List[Any] = []

    def inputs(self) -> List[str]:
        return sorted(self._inputs)

    def outputs(self) -> List[str]:
        return sorted(self._outputs)

    def bind(self, tensors: Sequence[Tensor]) -> None:
        require_inputs(list(self._inputs), tensors)
        self._kept = []
        for tensor in tensors:
            wanted = self._inputs[tensor.name]
            dtype, shape = np.asarray(wanted.getNumpyData()).dtype.name, list(wanted.getShape())
            if tensor.dtype != dtype or list(tensor.shape) != shape:
                raise Fault(
                    "bad_input",
                    "input %s is %s%s, got %s%s"
                    % (tensor.name, dtype, shape, tensor.dtype, list(tensor.shape)),
                )
            array = np.frombuffer(tensor.data, tensor.dtype).reshape(tensor.shape).copy()
            host = mnn.Tensor(tuple(shape), wanted.getDataType(), array, wanted.getDimensionType())
            self._kept.append((array, host))
            wanted.copyFrom(host)

    def run(self) -> None:
        code = self._net.runSession(self._session)
        if code != 0:
            raise Fault("run_failed", "MNN cannot run the model (code %d)" % code)

    def read(self) -> List[Tensor]:
        found = []
        for name in self.outputs():
            tensor = self._outputs[name]
            shape = tuple(tensor.getShape())
            dense = np.zeros(shape, np.asarray(tensor.getNumpyData()).dtype)
            host = mnn.Tensor(shape, tensor.getDataType(), dense, tensor.getDimensionType())
            tensor.copyToHostTensor(host)
            array = np.array(host.getNumpyData()).reshape(shape)
            found.append(Tensor(name, array.dtype.name, shape, array.tobytes()))
        return found

    def info(self) -> RuntimeInfo:
        # The binding hands numbers of all kinds back as floats: these are whole numbers, bit by bit.
        (threads,) = struct.unpack(
            "i", struct.pack("f", self._net.getSessionInfo(self._session, INFO_THREADS))
        )
        options = dict(self._told, num_threads=threads)
        return RuntimeInfo("mnn", mnn.version(), self._compute_dtype(), options)

    def _compute_dtype(self) -> str:
        """Low precision is fp16 arithmetic where the CPU has it (ARMv8.2), by MNN's extended CPU backend."""
        is_arm = platform.machine().startswith(("aarch64", "arm"))
        backends = self._net.getSessionInfo(self._session, INFO_BACKENDS)
        return "fp16" if is_arm and self._told["precision"] == "low" and backends == CPU_EXTENSION else "fp32"
