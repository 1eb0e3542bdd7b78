"""Scripts that run inside the environments of converters (environments.py), which hold nothing of ours.

Each is self-contained: the standard library and its own tool. It is called as `python -I SCRIPT SPEC RESULT`,
with two JSON files as a runner is (runners/process.py), but an error is only {"message", "hint"}.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeflow_converters import tool
from edgeflow_converters.environments import isolated
from edgeflow_converters.errors import ConverterFailed, UnsupportedModel
from edgeflow_converters.runners.process import answer_in, timeouts_told_of


def call(
    script: str, python: Path, spec: Mapping[str, Any], *, what: str, cwd: Path, timeout_s: float
) -> dict[str, Any]:
    """Run `script` of this folder with an environment's `python`, and return its answer.

    Raises UnsupportedModel with the script's message, ConverterFailed if it crashed, hung or said nothing.
    """
    spec_path, result_path = cwd / f"{script}.spec.json", cwd / f"{script}.result.json"
    spec_path.write_text(json.dumps(spec))
    result_path.unlink(missing_ok=True)
    argv = isolated(python, str(Path(__file__).parent / f"{script}.py"), str(spec_path), str(result_path))
    with timeouts_told_of(what):
        finished = tool.run(argv, name=script, cwd=cwd, timeout_s=timeout_s)
    if finished.returncode != 0 or not result_path.is_file():
        raise ConverterFailed(
            f"{what} {tool.how_it_ended(finished.returncode)}{tool.last_words(finished.log)}",
            hint="run again with --debug to see its log",
            log=finished.log,
        )
    result = answer_in(result_path, what, finished.log)
    if "error" in result:
        error = result["error"]
        raise UnsupportedModel(f"{what}: {error['message']}", hint=error["hint"], log=finished.log)
    answer: dict[str, Any] = result["ok"]
    return answer
