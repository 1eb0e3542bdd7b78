"""What makes a float32 .tflite of an ONNX model: onnx2tf by its own writer, or by TensorFlow's converter.

The first writes the file itself and is the default: 670 MB on disk, seconds a model. The second rebuilds the
model in Keras and lets TensorFlow convert that: 2.7 GB and a minute, and other operators that it can express.
Both rewrite their input in place, so they get a copy, and exit 0 with operators of their own invention
(ONNX_*, Flex*) in the file, so these are looked for.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeflow_converters import tool
from edgeflow_converters.acceptance import nodes_of
from edgeflow_converters.base import ConvertRequest, ProgressFn
from edgeflow_converters.environments import Environment, environment, isolated
from edgeflow_converters.errors import ConverterFailed, UnsupportedModel
from edgeflow_converters.inspect import ModelInfo
from edgeflow_converters.targets import tflite_layouts
from edgeflow_converters.targets.tflite_file import custom_operators

DEFAULT_ENGINE = "onnx2tf"


@dataclass(frozen=True, slots=True)
class Engine:
    """One way from ONNX to a float32 .tflite, in an environment of its own."""

    name: str
    environment: Environment
    words: tuple[str, ...]  # what onnx2tf is told beyond files and layouts
    otherwise: str  # the engine to name when this one fails

    def versions(self) -> dict[str, str]:
        lock = self.environment.lock
        return {lock.name: f"{lock.version} (lock {lock.digest})"}

    def to_float32(self, request: ConvertRequest, info: ModelInfo, work: Path, progress: ProgressFn) -> Path:
        """The float32 .tflite of `request.source` in the folder `work`; it holds LiteRT's own operators only.

        Raises ConverterFailed, UnsupportedModel, and what making the environment raises.
        """
        python = self.environment.ensure(progress)
        progress(self.environment.lock.name)
        shutil.copyfile(request.source, work / "model.onnx")
        images = tflite_layouts.images(request.source)
        kept = [port.name for port in info.inputs if port.name not in images]
        argv = isolated(python, "-m", "onnx2tf", "-i", "model.onnx", "-o", "out", "-n", *self.words)
        if kept:
            argv += ["-kat", *kept]
        log = tool.run_checked(argv, name="onnx2tf", cwd=work, timeout_s=request.timeout_s)
        made = work / "out" / "model_float32.tflite"
        if not made.is_file():
            raise ConverterFailed(f"onnx2tf said success and wrote no model{tool.last_words(log)}", log=log)
        try:
            invented = sorted(set(custom_operators(made)))
        except ConverterFailed as error:
            raise ConverterFailed(f"onnx2tf wrote no usable file: {error.message}", log=log) from error
        if invented:
            named = [f"{name}{nodes_of(request.source, name.removeprefix('ONNX_'))}" for name in invented]
            raise UnsupportedModel(
                f"onnx2tf could not express {'; '.join(named)}: TensorFlow Lite does not have it",
                hint=f"try --option engine={self.otherwise}, change the model's code there, "
                "or use --runtime onnxruntime",
                log=log,
            )
        return made


def engines(tools_root: Path) -> Mapping[str, Engine]:
    """Every engine by the name that users give it. Touches nothing on disk."""
    return {
        DEFAULT_ENGINE: Engine(DEFAULT_ENGINE, environment("onnx2tf", tools_root), (), "tensorflow"),
        "tensorflow": Engine(
            "tensorflow",
            environment("onnx2tf-tensorflow", tools_root),
            ("--tflite_backend", "tf_converter"),
            DEFAULT_ENGINE,
        ),
    }
