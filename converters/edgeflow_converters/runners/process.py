"""How a runner is called: `python -m edgeflow_converters.runners.NAME SPEC RESULT`, both JSON files.

RESULT holds {"ok": ...} or {"error": {"class", "message", "hint"}}, where the class is one of errors.py.
Anything else, a signal or a traceback, is a crash, and the caller gets ConverterFailed with the log.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgeflow_converters import errors, tool
from edgeflow_converters.cache import NO_SPACE
from edgeflow_converters.errors import ConverterFailed, ConvertError, ConverterTimeout
from edgeflow_converters.packages import python_path

Json = dict[str, Any]


def serve(work: Callable[[Json], Json]) -> int:
    """The main function of a runner: `work` from the spec in argv[1] to the result in argv[2]."""
    spec_path, result_path = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        result: Json = {"ok": work(json.loads(spec_path.read_text()))}
    except ConvertError as error:
        described = {"class": type(error).__name__, "message": error.message, "hint": error.hint}
        result = {"error": described}
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        described = {
            "class": "CacheUnwritable",
            "message": "no space left for intermediate files",
            "hint": "",
        }
        result = {"error": described}
    result_path.write_text(json.dumps(result))
    return 0


def call(
    runner: str,
    spec: Mapping[str, Any],
    *,
    what: str,
    cwd: Path,
    timeout_s: float,
    packages: Sequence[Path] = (),
) -> Json:
    """Run a runner in `cwd` and return its answer. `what` names the work in error messages; `packages` are
    folders that it imports from first.

    Raises the ConvertError that the runner met, or ConverterFailed if it crashed, hung or said nothing.
    """
    spec_path, result_path = cwd / f"{runner}.spec.json", cwd / f"{runner}.result.json"
    spec_path.write_text(json.dumps(spec))
    result_path.unlink(missing_ok=True)
    argv = [sys.executable, "-P", "-m", f"{__package__}.{runner}", str(spec_path), str(result_path)]
    env = python_path(packages) if packages else None
    with timeouts_told_of(what):
        finished = tool.run(argv, name=runner, cwd=cwd, timeout_s=timeout_s, env=env)
    if finished.returncode != 0 or not result_path.is_file():
        raise ConverterFailed(
            f"{what} {tool.how_it_ended(finished.returncode)}{tool.last_words(finished.log)}",
            hint="run again with --debug to see its log",
            log=finished.log,
        )
    result = answer_in(result_path, what, finished.log)
    if "error" in result:
        error = result["error"]
        error_class: type[ConvertError] = getattr(errors, error["class"])
        raise error_class(error["message"], hint=error["hint"], log=finished.log)
    answer: Json = result["ok"]
    return answer


@contextmanager
def timeouts_told_of(what: str) -> Iterator[None]:
    """A ConverterTimeout of the body names the work, not the script that does it."""
    try:
        yield
    except ConverterTimeout as error:
        words = error.message.partition(" ")[2]
        raise ConverterTimeout(f"{what} {words}", hint=error.hint, log=error.log) from None


def answer_in(path: Path, what: str, log: str) -> Json:
    """The JSON that a script left, {"ok": ...} or {"error": ...}; anything else is a ConverterFailed."""
    try:
        answer: Json = json.loads(path.read_text())
        if len(answer.keys() & {"ok", "error"}) == 1:
            return answer
    except (ValueError, AttributeError):
        pass
    raise ConverterFailed(
        f"{what} ended without saying how{tool.last_words(log)}",
        hint="run again with --debug to see its log",
        log=log,
    )
