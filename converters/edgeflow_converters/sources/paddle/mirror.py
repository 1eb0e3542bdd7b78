"""From the two files of a Paddle program to an ONNX file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgeflow_converters.paddle.read import read_program
from edgeflow_converters.sources.paddle.builder import Builder
from edgeflow_converters.sources.paddle.ops import mirror_of


def write_onnx(model: Path, out: Path, shapes: Mapping[str, Sequence[int]] | None = None) -> None:
    """Writes the program in `model`, with its parameters beside it, to `out`; `shapes` are what open
    axes of its inputs become.

    Raises ModelUnreadable for files that are no program, UnsupportedModel that names the operation which
    cannot be expressed.
    """
    import onnx

    program = read_program(model)
    builder = Builder(program, shapes or {})
    for variable in program.fed():
        builder.fed(variable.name)
    for operation in program.operations:
        if operation.kind not in ("feed", "fetch"):
            mirror_of(builder, operation)(builder, operation)
    onnx.save(builder.model(), out)
    onnx.checker.check_model(str(out), full_check=True)
