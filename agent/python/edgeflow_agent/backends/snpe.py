"""Stands in for SNPE where there is no Qualcomm chip: the .dlc's graph on the x86 emulator of Qualcomm's HTP.

It runs by ONNX Runtime's QNN execution provider, wholly on it. It shows that the graph is right, never how
fast a phone is: `emulated` in its options says so, and results made with it are invalid. Files: `graph`
(.onnx), `emulator` (.json: the provider's options).
"""

from __future__ import annotations

import json
from typing import Any, Mapping

import onnxruntime as ort
import onnxruntime_qnn as qnn

from edgeflow_agent.backends.base import RuntimeInfo
from edgeflow_agent.backends.onnxruntime import OnnxRuntimeBackend
from edgeflow_agent.faults import Fault

PROVIDER = "QNNExecutionProvider"
# Options as the converter verified the graph with (converters/edgeflow_converters/foreign/qnn.py).
FIXED = {"backend_type": "htp", "offload_graph_io_quantization": "0"}
KNOWN = ("enable_htp_fp16_precision", "htp_arch", "soc_model")


def create() -> HtpEmulatorBackend:
    """A backend with no model. Raises ImportError where the provider cannot be loaded."""
    try:
        ort.register_execution_provider_library(PROVIDER, qnn.get_library_path())
    except Exception as error:
        raise ImportError("ONNX Runtime does not take the QNN provider: %s" % _one_line(error)) from error
    return HtpEmulatorBackend()


class HtpEmulatorBackend(OnnxRuntimeBackend):
    """One inference session on the QNN provider, without any fallback. It takes no options."""

    def load(self, files: Mapping[str, str], options: Mapping[str, Any], threads: int) -> None:
        if options:
            raise Fault("bad_request", "the HTP emulator has no option %s" % sorted(options)[0])
        with open(files["emulator"], encoding="utf-8") as file:
            told = json.load(file)
        if not isinstance(told, dict) or not set(told) <= set(KNOWN):
            raise Fault("load_failed", "emulator.json says %.80r; known: %s" % (told, " ".join(KNOWN)))
        ort.disable_telemetry_events()
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = threads
        settings.log_severity_level = 3
        settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        devices = [device for device in ort.get_ep_devices() if device.ep_name == PROVIDER]
        settings.add_provider_for_devices(devices, dict(FIXED, **told))
        try:
            self._session = ort.InferenceSession(files["graph"], settings)
        except Exception as error:
            what = "the HTP emulator cannot load the model: %s" % _one_line(error)
            raise Fault("load_failed", what) from error
        # Python's session would run on the CPU after an error of the provider's, and say nothing.
        self._session.disable_fallback()
        if self._session.get_providers()[0] != PROVIDER:
            raise Fault("load_failed", "ONNX Runtime chose %s" % self._session.get_providers())
        self._told = told
        self._take_ports()

    def run(self) -> None:
        try:
            self._results = self._session.run(self._output_names, self._feeds)
        except Exception as error:
            raise Fault("run_failed", "the HTP emulator: %s" % _one_line(error)) from error

    def info(self) -> RuntimeInfo:
        halves = self._told.get("enable_htp_fp16_precision") != "0"
        executor = "x86 emulator of Qualcomm's HTP (ONNX Runtime QNN)"
        options = dict(self._told, executor=executor, emulated=True)
        version = "QNN HTP emulator, onnxruntime-qnn %s" % qnn.__version__
        return RuntimeInfo("snpe", version, "fp16 or integers" if halves else "fp32", options)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:400]
