"""Qualcomm's SDK (SNPE 2 or QAIRT), the user's own: its converter and quantizer, by their command lines.

Not verified with Qualcomm's SDK: nobody may pass it on, so tests run stand-ins of its tools. Their flags
differ from version to version; those that do are looked up in `--help`, and a missing one is an error.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeflow_converters import tool
from edgeflow_converters.base import ConvertRequest
from edgeflow_converters.errors import ConverterFailed, ToolMissing
from edgeflow_converters.inspect import inspect_model

VARIABLES = ("SNPE_ROOT", "QAIRT_SDK_ROOT", "QNN_SDK_ROOT")
_TOOLS = "bin/x86_64-linux-clang"
_CONVERTERS = ("qairt-converter", "snpe-onnx-to-dlc")
_QUANTIZERS = ("qairt-quantizer", "snpe-dlc-quantize")
_HELP_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Sdk:
    """An SDK's folder, and the first converter that it has."""

    root: Path
    variable: str
    converter: str

    @property
    def version(self) -> str:
        """As its folder is called (qairt/2.22.6.240515), else the folder's name."""
        found = re.search(r"\d+\.\d+(\.\d+)*", self.root.name)
        return found.group() if found else self.root.name

    def path(self, name: str) -> Path:
        return self.root / _TOOLS / name


def find() -> Sdk | None:
    """The SDK that the environment names; None without. Raises ToolMissing where it has no converter."""
    for variable in VARIABLES:
        if not os.environ.get(variable):
            continue
        root = Path(os.environ[variable]).expanduser().absolute()
        for name in _CONVERTERS:
            if os.access(root / _TOOLS / name, os.X_OK):
                return Sdk(root, variable, name)
        if not (root / "bin").is_dir() and (root / "lib").is_dir():
            continue  # libraries for devices alone
        raise ToolMissing(
            f"{variable}: {root} has no {_TOOLS}/{' or '.join(_CONVERTERS)}",
            hint="name the folder of Qualcomm's SDK (with bin, include and lib), or unset the variable",
        )
    return None


def convert(sdk: Sdk, request: ConvertRequest, out: Path, work: Path, *, activations: int) -> None:
    """Writes the .dlc of `request.source` in its precision. Raises ConverterFailed, ToolMissing."""
    single = work / "single.dlc" if request.precision == "int8" else out
    argv = [str(sdk.path(sdk.converter)), "--input_network", str(request.source)]
    argv += ["--output_path", str(single)]
    for port in inspect_model(request.source).inputs:
        argv += ["-d", port.name, ",".join(map(str, port.shape))]
    if request.precision == "fp16":
        argv += [_named(sdk, sdk.converter, ("--float_bitwidth", "--float_bw"), work), "16"]
    _run(sdk, argv, work, request.timeout_s, single)
    if request.precision == "int8":
        _quantize(sdk, request, single, out, work, activations)


def _quantize(
    sdk: Sdk, request: ConvertRequest, single: Path, out: Path, work: Path, activations: int
) -> None:
    name = next((each for each in _QUANTIZERS if os.access(sdk.path(each), os.X_OK)), None)
    if name is None:
        raise ToolMissing(
            f"{sdk.variable}: {sdk.root} has no {' or '.join(_QUANTIZERS)}", hint="install the whole SDK"
        )
    argv = [str(sdk.path(name)), "--input_dlc", str(single), "--input_list", str(_inputs(request, work))]
    argv += ["--output_dlc", str(out)]
    if activations != 8:
        argv += [_named(sdk, name, ("--act_bitwidth", "--act_bw"), work), str(activations)]
    _run(sdk, argv, work, request.timeout_s, out)


def _inputs(request: ConvertRequest, work: Path) -> Path:
    """The calibration inputs as raw files, and the list that names them: one line a set, `name:=path`."""
    lines = []
    for index, tensors in enumerate(request.calibration):
        parts = []
        for position, (name, array) in enumerate(tensors.items()):
            path = work / f"calibration-{index}-{position}.raw"
            array.tofile(path)
            parts.append(f"{name}:={path}")
        lines.append(" ".join(parts))
    listed = work / "input_list.txt"
    listed.write_text("\n".join(lines) + "\n")
    return listed


def _named(sdk: Sdk, name: str, flags: Sequence[str], work: Path) -> str:
    """The first of `flags` that the tool's help names. Raises ToolMissing if it names none."""
    argv, env = [str(sdk.path(name)), "--help"], _environment(sdk)
    asked = tool.run(argv, name=f"{name}-help", cwd=work, timeout_s=_HELP_TIMEOUT_S, env=env)
    for flag in flags:
        if re.search(rf"{re.escape(flag)}\b", asked.log):
            return flag
    raise ToolMissing(
        f"{name} of {sdk.root} knows none of {', '.join(flags)}",
        hint="use a newer SDK, or unset the variable",
    )


def _run(sdk: Sdk, argv: Sequence[str], work: Path, timeout_s: float, made: Path) -> None:
    name = Path(argv[0]).name
    log = tool.run_checked(argv, name=name, cwd=work, timeout_s=timeout_s, env=_environment(sdk))
    if not made.is_file() or not made.stat().st_size:
        raise ConverterFailed(f"{name} said success and wrote no .dlc{tool.last_words(log)}", log=log)


def _environment(sdk: Sdk) -> dict[str, str]:
    """What the SDK's own envsetup.sh sets."""
    libraries, python = sdk.root / "lib/x86_64-linux-clang", sdk.root / "lib/python"
    found = {"LD_LIBRARY_PATH": str(libraries), "PYTHONPATH": str(python)}
    return {
        name: os.pathsep.join([value, *([os.environ[name]] if os.environ.get(name) else [])])
        for name, value in found.items()
    }
