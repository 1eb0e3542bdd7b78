"""Paddle: a program (.pdmodel with its .pdiparams beside it) as ONNX, judged by Paddle Lite.

Read here, without PaddlePaddle (sources/paddle). Paddle Lite executes the program as it is, on x86-64 Linux.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_converters import foreign
from edgeflow_converters.arrays import load_sets, save_sets
from edgeflow_converters.environments import environment
from edgeflow_converters.errors import ConverterFailed, ShapeMismatch, ToolMissing
from edgeflow_converters.paddle.read import Description, parameters_of, read_program
from edgeflow_converters.sources.base import Asked, Candidate, Source
from edgeflow_converters.sources.files import present
from edgeflow_converters.sources.paddle.mirror import write_onnx
from edgeflow_converters.targets.paddlelite import is_x86

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeflow_converters.base import ProgressFn
    from edgeflow_converters.tensors import Tensors


class PaddleImporter:
    """A reader of our own; answers with Paddle Lite."""

    def __init__(self, tools_root: Path) -> None:
        self._lite = environment("paddlelite", tools_root)

    def files(self, source: Source) -> Sequence[Path]:
        parameters = parameters_of(present(source.path))
        return (source.path, parameters) if parameters.is_file() else (source.path,)

    def tools(self) -> Mapping[str, str]:
        return {"paddlelite": f"{self._lite.lock.version} (lock {self._lite.lock.digest})"}

    def to_onnx(self, source: Source, asked: Asked, out: Path, progress: ProgressFn) -> Sequence[Candidate]:
        model = out / "model.onnx"
        shapes = {name: port.shape for name, port in asked.inputs.items()}
        _require_shapes(read_program(source.path), shapes)
        write_onnx(source.path, model, shapes)
        return [Candidate("edgeflow's reader of Paddle programs", model)]

    def outputs(
        self, source: Source, asked: Asked, samples: Sequence[Tensors], work: Path, progress: ProgressFn
    ) -> list[dict[str, NDArray[Any]]]:
        if not is_x86():
            raise ToolMissing(
                "a Paddle program is judged by Paddle Lite, whose wheel is for x86-64 Linux only",
                hint="convert the model on such a machine",
            )
        program = read_program(source.path)
        own, result = work / "own-samples.npz", work / "own.npz"
        save_sets(own, samples)
        job = {
            "program": str(source.path.resolve()),
            "parameters": str(parameters_of(source.path).resolve()),
            "inputs": [
                {"name": each.name, "runtime_name": each.name, "dtype": each.dtype} for each in program.fed()
            ],
            "outputs": [{"name": name, "runtime_name": name} for name in program.fetched()],
            "samples": str(own),
            "result": str(result),
        }
        what = f"Paddle Lite, running {source.name},"
        python = self._lite.ensure(progress)
        foreign.call("paddle_run", python, {"jobs": [job]}, what=what, cwd=work, timeout_s=asked.timeout_s)
        if not result.is_file():
            raise ConverterFailed(f"{what} said success and wrote no outputs")
        return load_sets(result)


def _require_shapes(program: Description, shapes: Mapping[str, Sequence[int]]) -> None:
    """Raises ShapeMismatch for an input that the program has not, a size where its own is another, or an axis
    other than the first that stays open."""
    fed = {each.name: each.shape for each in program.fed()}
    for name, asked in shapes.items():
        own = fed.get(name)
        if own is None:
            raise ShapeMismatch(f"the Paddle program has no input {name!r}", hint=f"it has: {', '.join(fed)}")
        fits = len(own) == len(asked) and all(
            size < 0 or size == wanted for size, wanted in zip(own, asked, strict=True)
        )
        if not fits:
            raise ShapeMismatch(f"the Paddle program's input {name!r} is {_told(own)}, not {_told(asked)}")
    for name, own in fed.items():
        if name not in shapes and min(own[1:], default=0) < 0:
            raise ShapeMismatch(
                f"the Paddle program's input {name!r} is {_told(own)}: its size is open",
                hint=f"tell it: --shape {name}={_told(own).replace('?', 'N')}, or write a recipe",
            )


def _told(shape: Sequence[int]) -> str:
    return "x".join("?" if size < 0 else str(size) for size in shape)
