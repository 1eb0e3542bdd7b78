"""MNN on the CPU. File: `model` (.mnn).

Only MNN's extension is imported: its package would bring image, audio and language-model code with it, and
its `MNN.tools` runs pip and tells its maker of it.
"""

from __future__ import annotations

import mmap
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
EXTRA_TENSOR_DESCRIBE, QUANT_INFO = 1, 4  # fields of Net and of TensorDescribe (MNN schema/default/MNN.fbs)


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
        self._path = files["model"]
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
        """ "int8" where the model has scales for its tensors: arithmetic is then in integers. Else "fp32".

        Low precision is fp16 arithmetic where the CPU has it (ARMv8.2), by MNN's extended CPU backend. 8-bit
        weights alone are widened when the model is loaded.
        """
        if _has_scales(self._path):
            return "int8"
        is_arm = platform.machine().startswith(("aarch64", "arm"))
        backends = self._net.getSessionInfo(self._session, INFO_BACKENDS)
        return "fp16" if is_arm and self._told["precision"] == "low" and backends == CPU_EXTENSION else "fp32"


def _has_scales(path: str) -> bool:
    """Whether a tensor of a .mnn file is quantized: Net.extraTensorDescribe[].quantInfo.

    The file is a FlatBuffer: tables that begin with the way to the list of where their fields lie.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:

        def number(kind: str, at: int) -> int:
            (found,) = struct.unpack_from(kind, data, at)
            return int(found)

        def target(at: int) -> int:
            return at + number("<I", at)

        def field(table: int, index: int) -> int:
            """Where the table's field lies; 0 where it has none."""
            layout, slot = table - number("<i", table), 4 + 2 * index
            offset = number("<H", layout + slot) if slot < number("<H", layout) else 0
            return table + offset if offset else 0

        described = field(target(0), EXTRA_TENSOR_DESCRIBE)
        if not described:
            return False
        tensors = target(described)
        places = range(tensors + 4, tensors + 4 + 4 * number("<I", tensors), 4)
        return any(field(target(place), QUANT_INFO) for place in places)
