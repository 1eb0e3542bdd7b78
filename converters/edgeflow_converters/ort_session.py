"""One way to open an ONNX Runtime session: on the CPU alone, quiet, deterministic, errors translated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_converters.errors import ConverterFailed, UnsupportedModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeflow_converters.tensors import Tensors

_ERRORS_ONLY = 3


class Session:
    """An ONNX model loaded into ONNX Runtime's CPU provider."""

    def __init__(self, path: Path, *, optimise: bool) -> None:
        """Load `path`. `optimise=False` runs the graph as it is written, without ONNX Runtime's rewrites.

        Raises UnsupportedModel in ONNX Runtime's own words.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        level = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = level.ORT_ENABLE_ALL if optimise else level.ORT_DISABLE_ALL
        onnxruntime.disable_telemetry_events()
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exception classes share no base but Exception
            raise UnsupportedModel(
                f"ONNX Runtime cannot load {path.name}: {_one_line(error)}",
                hint="the model uses something that ONNX Runtime's CPU provider does not have",
            ) from error
        self.output_names = [output.name for output in self._session.get_outputs()]

    def run(self, sample: Tensors) -> dict[str, NDArray[Any]]:
        """All outputs for one set of inputs, by name. Raises ConverterFailed."""
        try:
            values = self._session.run(self.output_names, dict(sample))
        except Exception as error:
            raise ConverterFailed(f"ONNX Runtime failed to run the model: {_one_line(error)}") from error
        return dict(zip(self.output_names, values, strict=True))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
