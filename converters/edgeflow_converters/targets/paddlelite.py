"""Paddle Lite: our own writer from ONNX to a Paddle program (paddle/), and its opt from there to .nb.

A model that is a Paddle program already goes into opt as it is; its shapes stay open in the .nb.

Two files are made of one program: for x86, which is executed here and judged, and for ARM (one file for 32
and 64 bits), which is not: a device judges it by its own gate. Paddle Lite runs one that is for another
processor and answers rubbish, so the target is read out of each.
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any

from edgeflow_converters import foreign, precision
from edgeflow_converters.base import ConvertRequest, Product, ProgressFn, ToolStatus
from edgeflow_converters.environments import environment
from edgeflow_converters.errors import ConverterFailed, ConverterTimeout, ToolMissing, UnsupportedModel
from edgeflow_converters.inspect import ModelInfo, PortInfo, inspect_model
from edgeflow_converters.paddle.read import Description, parameters_of, read_program
from edgeflow_converters.runners import process
from edgeflow_converters.targets import paddlelite_tool
from edgeflow_converters.tensors import TensorSpec

MODEL, ARM = "model", "model_arm"
"""Roles: the file for x86, and the one for ARM."""
_FILES = {MODEL: ("x86", "model.nb"), ARM: ("arm", "model.arm.nb")}
_WRITER = "1"  # part of every product's key: raise it when paddle/ writes other programs
_SHRINKS_BELOW = 0.9
_ELSEWHERE = "Paddle Lite's wheel is for x86-64 Linux only"


class PaddleLiteConverter:
    """ONNX to .nb."""

    name = "paddlelite"
    rewrites: tuple[str, ...] = (
        "split_fused_heads",
        "single_step_lstm",
        "concat_of_constant_as_pad",
    )

    def __init__(self, tools_root: Path) -> None:
        self._lite = environment("paddlelite", tools_root)

    def doctor(self) -> ToolStatus:
        if not is_x86():
            return ToolStatus(self.name, False, missing=_ELSEWHERE, fix="convert on an x86-64 machine")
        state = self._lite.status()
        return ToolStatus(
            self.name,
            ready=state.ready,
            version=f"by paddlelite {self._lite.lock.version}",
            missing=state.missing,
            fix=state.fix,
            on_demand=state.on_demand,
        )

    def versions(self) -> dict[str, str]:
        lock = self._lite.lock
        return {"paddlelite": f"{lock.version} (lock {lock.digest})", "paddle program writer": _WRITER}

    def requires(self, request: ConvertRequest, info: ModelInfo) -> None:
        """An x86-64 machine with a Python that the wheel is for."""
        state = self.doctor()
        if not state.ready and not state.on_demand:
            raise ToolMissing(f"{self.name}: {state.missing}", hint=state.fix)

    def convert(self, request: ConvertRequest, out: Path, progress: ProgressFn) -> Product:
        cell = precision.lookup(self.name, request.precision)
        info = inspect_model(request.source)
        python = self._lite.ensure(progress)
        work = out.parent / "paddle"
        work.mkdir()
        program, parameters = work / "model.pdmodel", work / "model.pdiparams"
        files, notes = {}, []
        straight = None if request.program is None else read_program(request.program)
        if straight is not None and cell.weights_dtype == "int8" and _multiplies(straight):
            notes.append("not of the Paddle program itself: Paddle Lite never widens int8 of its matmul_v2")
            straight = None
        if straight is not None and request.program is not None:
            program, parameters = request.program.resolve(), parameters_of(request.program).resolve()
            names = {"inputs": [each.name for each in straight.fed()], "outputs": straight.fetched()}
            notes.append("the Paddle program itself, as it was given, went into opt")
        else:
            progress("write the Paddle program")
            spec = {"source": str(request.source), "model": str(program), "parameters": str(parameters)}
            what = "writing the Paddle program"
            names = process.call("paddle_program", spec, what=what, cwd=work, timeout_s=request.timeout_s)
        progress("opt")
        for role, (place, name) in _FILES.items():
            try:
                paddlelite_tool.opt(
                    python,
                    program,
                    parameters,
                    out / name,
                    place,
                    cell.weights_dtype,
                    request.timeout_s,
                    work,
                )
            except ConverterTimeout:
                raise
            except (ConverterFailed, UnsupportedModel) as error:
                if role == MODEL:
                    raise
                (out / name).unlink(missing_ok=True)
                notes.append(f"not for ARM: {error.message}")
            else:
                files[role] = name
        if ARM in files:
            notes.append(
                "judged on the x86 file; the ARM file (32 and 64 bits) is of the same program and was not "
                "executed here"
            )
        if cell.weights_dtype == "int8":
            share = (out / files[MODEL]).stat().st_size / parameters.stat().st_size
            if share > _SHRINKS_BELOW:
                raise UnsupportedModel(
                    f"{request.precision} would change little: the file is {share:.0%} of the weights",
                    hint="use --precision fp32",
                )
        return Product(
            files=files,
            inputs=tuple(_spec(port, name) for port, name in zip(info.inputs, names["inputs"], strict=True)),
            outputs=tuple(
                _spec(port, name) for port, name in zip(info.outputs, names["outputs"], strict=True)
            ),
            runtime_options=dict(cell.runtime_flags),
            weights_dtype=cell.weights_dtype,
            compute_dtype=cell.compute_dtype,
            tools=self.versions(),
            notes=tuple(notes),
        )

    def run(
        self, product: Product, folder: Path, samples: Path, result: Path, work: Path, timeout_s: float
    ) -> None:
        """Run the x86 file over samples in the environment of Paddle Lite; see foreign/paddle_run.py."""
        model = folder / product.files[MODEL]
        paddlelite_tool.require_place(model, "x86")
        job: dict[str, Any] = {
            "model": str(model),
            "inputs": [item.to_json() for item in product.inputs],
            "outputs": [item.to_json() for item in product.outputs],
            "samples": str(samples),
            "result": str(result),
        }
        what = "Paddle Lite, running the converted model,"
        python = self._lite.ensure(lambda phase: None)
        result.unlink(missing_ok=True)
        foreign.call("paddle_run", python, {"jobs": [job]}, what=what, cwd=work, timeout_s=timeout_s)
        if not result.is_file():
            raise ConverterFailed(f"{what} said success and wrote no outputs")


def _multiplies(program: Description) -> bool:
    """Whether matmul_v2 takes a parameter."""
    return any(
        name in program.parameters
        for each in program.operations
        if each.kind == "matmul_v2"
        for name in (*each.inputs["X"], *each.inputs["Y"])
    )


def _spec(port: PortInfo, runtime_name: str) -> TensorSpec:
    shape = tuple(dim for dim in port.shape if isinstance(dim, int))
    return TensorSpec(port.name, port.dtype, shape, runtime_name, shape)


def is_x86() -> bool:
    """Whether Paddle Lite's wheel is for this machine."""
    return sys.platform == "linux" and platform.machine() == "x86_64"
