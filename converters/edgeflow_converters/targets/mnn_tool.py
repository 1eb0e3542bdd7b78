"""Calling the converter and the quantizer of MNN's wheel.

Both are functions of a compiled module that return True whatever happened: success is a file that is new and
the words that only success prints. The package's `MNN.tools`, which wraps them, is never imported: it runs
pip and tells its maker of it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from edgeflow_converters import packages, tool
from edgeflow_converters.acceptance import nodes_of
from edgeflow_converters.errors import ConverterFailed, UnsupportedModel

_CALL = "import sys, _tools; getattr(_tools, sys.argv[1])(sys.argv[2:])"
_CONVERTED = "Converted Success!"


def mnnconvert(
    library: Path, source: Path, product: Path, flags: Sequence[str], work: Path, timeout_s: float
) -> None:
    """ONNX to .mnn by MNN's converter. Raises ConverterFailed with its own words unless it succeeded."""
    # Recurrent layers stay operators. By default they become loops, which a session cannot give a size.
    argv = [
        "MNNConvert", "-f", "ONNX", "--modelFile", str(source), "--MNNModel", str(product),
        "--bizCode", "edgeflow", "--useOriginRNNImpl", *flags,
    ]  # fmt: skip
    log = call(library, "mnnconvert", argv, product, work, timeout_s)
    if _CONVERTED not in log:
        foreign = re.search(r"ONNX::(\w+)", log) if "Not Support" in log else None
        if foreign is not None:
            raise UnsupportedModel(
                f"MNN has no {foreign[1]}{nodes_of(source, foreign[1])}",
                hint="change the model's code there, or use --runtime onnxruntime",
                log=log,
            )
        raise ConverterFailed(f"mnnconvert failed{complaint(log)}", log=log)
    if not product.is_file():
        raise ConverterFailed("mnnconvert said success and wrote no model", log=log)


def call(library: Path, name: str, argv: Sequence[str], product: Path, work: Path, timeout_s: float) -> str:
    """Call function `name` with the command line `argv` in a subprocess that finds MNN in `library`; its log.

    `product` is removed before, so that what is there afterwards is new.
    """
    product.unlink(missing_ok=True)
    command = [sys.executable, "-P", "-c", _CALL, name, *argv]
    env = packages.python_path([library])
    return tool.run_checked(command, name=name, cwd=work, timeout_s=timeout_s, env=env)


def complaint(log: str) -> str:
    """What the tool complains of, to end a message with; its last line says only that it failed."""
    words = [line.strip() for line in log.splitlines() if line.strip()]
    told = [line for line in words if "error" in line.lower() or "not support" in line.lower()]
    told = told or [line for line in words if "Failed" not in line]
    return f": {told[-1][:200]}" if told else ""
