"""The suite exports33: nine architectures as PyTorch's two exporters write them, in 33 ways.

Made once, in PyTorch's environment, by foreign/exports33.py of foreign/architectures.py with seeded weights;
the answers are PyTorch's own. Kept as a folder whose name tells which scripts and which PyTorch it is of.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from edgeflow_converters import digest, foreign
from edgeflow_converters.base import ProgressFn
from edgeflow_converters.cache import unwritable
from edgeflow_converters.coverage.case import Case
from edgeflow_converters.coverage.suites import folder_cases
from edgeflow_converters.environments import environment
from edgeflow_converters.errors import ConverterFailed

NAME = "exports33"
COUNT = 33
_TOOL = "pytorch"
_TIMEOUT_S = 1800.0


def cases(kept: Path, tools_root: Path, progress: ProgressFn) -> list[Case]:
    """The 33 cases, by name. `kept` is the folder where they are, or are made now.

    Raises ToolMissing without PyTorch's environment, ConverterFailed if one of the exports does, and
    CacheUnwritable.
    """
    return sorted(folder_cases(folder(kept, tools_root, progress)), key=lambda case: case.name)


def folder(kept: Path, tools_root: Path, progress: ProgressFn) -> Path:
    """Where the exports lie: NAME/model.onnx and NAME/test_data_set_*. Raises what cases() does."""
    pytorch = environment(_TOOL, tools_root)
    home = Path(foreign.__file__).parent
    scripts = [digest.of_file(home / f"{name}.py") for name in (NAME, "architectures")]
    whole = kept / f"{NAME}-{digest.of_json({'scripts': scripts, 'pytorch': pytorch.lock.digest})[:12]}"
    if whole.is_dir():
        return whole
    python = pytorch.ensure(progress)
    progress(f"export the models of {NAME}, once: about a minute")
    try:
        kept.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=f".{NAME}-", dir=kept))
    except OSError as error:
        raise unwritable(kept, error) from error
    try:
        out = making / "out"
        foreign.call(NAME, python, {"out": str(out)}, what=NAME, cwd=making, timeout_s=_TIMEOUT_S)
        made = len(list(out.glob("*/model.onnx")))
        if made != COUNT:
            raise ConverterFailed(f"PyTorch made {made} of the {COUNT} exports of {NAME}")
        if not whole.is_dir():  # else another process was as fast
            out.rename(whole)
    except OSError as error:
        raise unwritable(kept, error) from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return whole
