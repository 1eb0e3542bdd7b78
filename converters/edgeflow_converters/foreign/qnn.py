"""What ONNX Runtime's QNN execution provider does for snpe: writes .dlc files, quantizes, executes on the x86
emulator of Qualcomm's HTP, compiles HTP contexts. Runs in the environment of onnxruntime-qnn.

Spec: task (one of TASKS), and that function's keywords. Answer: what it returns.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import onnxruntime_qnn as qnn

_PROVIDER = "QNNExecutionProvider"
_NO_FALLBACK = "session.disable_cpu_ep_fallback"
_ERRORS_ONLY = 3


def main() -> int:
    spec = json.loads(Path(sys.argv[1]).read_text())
    task = TASKS[spec.pop("task")]
    try:
        answer: dict[str, Any] = {"ok": task(**spec)}
    except Refused as error:
        answer = {"error": {"message": str(error), "hint": error.hint}}
    Path(sys.argv[2]).write_text(json.dumps(answer))
    return 0


class Refused(Exception):
    """The model cannot be had in this way."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def dlc(model: str, out: str) -> dict[str, Any]:
    """Writes the model's one .dlc into the empty folder `out`; its name is the provider's."""
    options = {
        "backend_type": "ir",
        "dump_qnn_ir_dlc": "1",
        "dump_qnn_ir_dlc_dir": out,
        "qnn_ir_backend_path": str(Path(qnn.LIB_DIR_FULL_PATH) / "libQnnIr.so"),
        # Quantizing at the edges belongs into the file: its inputs and outputs stay floats.
        "offload_graph_io_quantization": "0",
    }
    try:
        _session(model, options)
    except Exception as error:  # whatever native code raises
        left = _left_out(model, {**options, "dump_qnn_ir_dlc": "0"})
        raise Refused(
            f"these operators are not QNN's: {', '.join(left)}" if left else _one_line(error),
            "change the model's code there, or use --runtime onnxruntime",
        ) from error
    made = sorted(path.name for path in Path(out).glob("*.dlc"))
    if len(made) != 1:
        left = _left_out(model, {**options, "dump_qnn_ir_dlc": "0"})
        why = f": {', '.join(left)} part it" if left else ""
        raise Refused(
            f"the graph became {len(made) or 'no'} .dlc files, where one is wanted{why}",
            "change the model's code there, or use --runtime onnxruntime",
        )
    return {"file": made[0]}


def half(model: str, out: str) -> dict[str, Any]:
    """The model with float16 tensors throughout, but for inputs and outputs, by ONNX Runtime's own tool."""
    import onnx
    from onnxruntime.transformers import float16

    source = onnx.load(model)
    _leave_out_empty(source.graph)
    blocked = [kind for kind in float16.DEFAULT_OP_BLOCK_LIST if kind != "Resize"]
    converted = float16.convert_float_to_float16(source, keep_io_types=True, op_block_list=blocked)
    _leave_out_empty(converted.graph)
    onnx.save(converted, out)
    return {}


def _leave_out_empty(graph: Any) -> None:
    """Inputs of Resize that are empty are left out. The tool casts them, which makes them count."""
    empty = {tensor.name for tensor in graph.initializer if 0 in tensor.dims}
    casts = [n for n in graph.node if n.op_type == "Cast" and (not n.input[0] or n.input[0] in empty)]
    empty.update(node.output[0] for node in casts)
    for node in graph.node:
        for index, name in enumerate(node.input):
            if node.op_type == "Resize" and name in empty:
                node.input[index] = ""
    read = {name for node in graph.node for name in node.input}
    for node in casts:
        if node.output[0] not in read:
            graph.node.remove(node)


def quantize(model: str, out: str, calibration: str, activations: int, method: str) -> dict[str, Any]:
    """The model in QDQ form, by ONNX Runtime's configuration for QNN: 8-bit weights, `activations` bits."""
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantType, quantize
    from onnxruntime.quantization.calibrate import CalibrationDataReader
    from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config, qnn_preprocess_model

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._sets = iter(load_sets(calibration))

        def get_next(self) -> Any:
            return next(self._sets, None)

    source, prepared = out + ".source.onnx", out + ".prepared.onnx"
    bare = onnx.load(model)
    del bare.metadata_props[:]  # the step below cannot carry a model's own over
    onnx.save(bare, source)
    if qnn_preprocess_model(source, prepared):
        source = prepared
    config = get_qnn_qdq_config(
        source,
        Reader(),
        calibrate_method=CalibrationMethod[method],
        activation_type=QuantType.QUInt16 if activations == 16 else QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        weight_symmetric=True,
    )
    quantize(source, out, config)
    return {}


def run(model: str, options: dict[str, str], samples: str, result: str, budget_s: float) -> dict[str, Any]:
    """Executes the model over samples on the emulator until they or `budget_s` end: at least one of them.

    `samples` and `result` are .npz files of sets.
    """
    began = time.monotonic()
    try:
        session = _session(model, {"backend_type": "htp", **options, "offload_graph_io_quantization": "0"})
    except Exception as error:
        left = _left_out(model, {"backend_type": "htp", **options, "offload_graph_io_quantization": "0"})
        told = f"it has no {', '.join(left)}" if left else _one_line(error)
        raise Refused(f"the HTP emulator cannot prepare the graph: {told}", "") from error
    names = [value.name for value in session.get_outputs()]
    found: list[dict[str, Any]] = []
    for tensors in load_sets(samples):
        if found and (time.monotonic() - began) * (len(found) + 1) / len(found) > budget_s:
            break
        try:
            found.append(dict(zip(names, session.run(names, tensors), strict=True)))
        except Exception as error:
            raise Refused(f"the HTP emulator cannot run the graph: {_one_line(error)}", "") from error
    save_sets(result, found)
    return {"samples": len(found)}


def context(model: str, out: str, arch: str, soc: str) -> dict[str, Any]:
    """Compiles the model for one generation of the HTP: an ONNX file with the context binary inside."""
    options = {"backend_type": "htp", "htp_arch": arch, "offload_graph_io_quantization": "0"}
    if soc:
        options["soc_model"] = soc
    entries = {"ep.context_enable": "1", "ep.context_file_path": out, "ep.context_embed_mode": "1"}
    try:
        _session(model, options, entries)
    except Exception as error:
        why = f"no context for HTP v{arch}: {_one_line(error)}"
        raise Refused(why, "leave it out of option htp") from error
    if not Path(out).is_file():
        raise Refused(f"no context for HTP v{arch} was written", "leave it out of option htp")
    return {}


def _session(model: str, options: dict[str, str], entries: dict[str, str] | None = None) -> Any:
    """A session wholly on QNN: whatever is not raises, at once and at every run."""
    session = ort.InferenceSession(model, _settings(options, {_NO_FALLBACK: "1", **(entries or {})}))
    session.disable_fallback()
    if session.get_providers()[0] != _PROVIDER:
        raise RuntimeError(f"the session runs on {session.get_providers()}")
    return session


def _settings(options: dict[str, str], entries: dict[str, str]) -> Any:
    settings = ort.SessionOptions()
    settings.log_severity_level = _ERRORS_ONLY
    for name, value in entries.items():
        settings.add_session_config_entry(name, value)
    devices = [device for device in ort.get_ep_devices() if device.ep_name == _PROVIDER]
    settings.add_provider_for_devices(devices, options)
    return settings


def _left_out(model: str, options: dict[str, str]) -> list[str]:
    """The kinds of operators that QNN leaves to another provider; [] where that cannot be told."""
    try:
        session = ort.InferenceSession(
            model, _settings(options, {"session.record_ep_graph_assignment_info": "1"})
        )
        parts = session.get_provider_graph_assignment_info()
    except Exception:
        return []
    return sorted({n.op_type for part in parts if part.ep_name != _PROVIDER for n in part.get_nodes()})


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def load_sets(path: str) -> list[dict[str, Any]]:
    """What arrays.save_sets wrote."""
    with np.load(path, allow_pickle=False) as archive:
        names = json.loads(str(archive["names"]))
        return [
            {name: archive[f"{index}_{position}"] for position, name in enumerate(of_set)}
            for index, of_set in enumerate(names)
        ]


def save_sets(path: str, sets: list[dict[str, Any]]) -> None:
    """What arrays.load_sets reads."""
    names = [list(tensors) for tensors in sets]
    arrays: dict[str, Any] = {
        f"{index}_{position}": tensors[name]
        for index, tensors in enumerate(sets)
        for position, name in enumerate(names[index])
    }
    arrays["names"] = np.array(json.dumps(names))
    np.savez(path, allow_pickle=False, **arrays)


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    "dlc": dlc,
    "half": half,
    "quantize": quantize,
    "run": run,
    "context": context,
}

if __name__ == "__main__":
    ort.register_execution_provider_library(_PROVIDER, qnn.get_library_path())
    sys.exit(main())
