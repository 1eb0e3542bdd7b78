"""Programs that a build runs, with their errors told in edgeflow's terms."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from edgeflow.errors import ToolMissingError

_ASK_TIMEOUT_S = 60.0
_POLL_S = 0.5

WatchFn = Callable[[str], None]
"""Called now and then with what a program has printed last."""


class ToolFailed(ToolMissingError):
    """A program of the build ended with an error; `detail` holds its log."""


def ask(argv: Sequence[str]) -> str | None:
    """What a program prints, or None where it cannot be started or fails: for versions and the like."""
    from edgeflow_converters import tool
    from edgeflow_converters.errors import ConvertError

    with tempfile.TemporaryDirectory(prefix="edgeflow-") as folder:
        try:
            done = tool.run(argv, name="ask", cwd=Path(folder), timeout_s=_ASK_TIMEOUT_S)
        except ConvertError:
            return None
    return done.log.strip() if done.returncode == 0 else None


def run(
    argv: Sequence[str],
    *,
    what: str,
    folder: Path,
    timeout_s: float,
    hint: str,
    env: Mapping[str, str] | None = None,
    watch: WatchFn | None = None,
) -> str:
    """Runs a program in `folder` to its end; its log. Raises ToolFailed: what failed, and its own words."""
    from edgeflow_converters import tool
    from edgeflow_converters.errors import ConvertError

    name = Path(argv[0]).name
    ended = threading.Event()
    watcher = threading.Thread(target=_tell, args=(folder / f"{name}.log", ended, watch), daemon=True)
    watcher.start()
    try:
        done = tool.run(argv, name=name, cwd=folder, timeout_s=timeout_s, env=env)
    except ConvertError as error:
        raise ToolFailed(f"{what}: {error.message}", hint=error.hint or hint, detail=error.log) from error
    finally:
        ended.set()
        watcher.join()
    if done.returncode != 0:
        ending = f"{name} {tool.how_it_ended(done.returncode)}"
        raise ToolFailed(f"{what}: {ending}{_complaint(done.log)}", hint=hint, detail=done.log)
    return done.log


def _complaint(log: str) -> str:
    """The first line that looks like the cause: compilers and CMake say more after it."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    for index, line in enumerate(lines):
        if "error" in line.lower():
            # CMake says where, and on the next line what.
            is_place = line.startswith("CMake Error") and line.endswith(":") and index + 1 < len(lines)
            return f": {lines[index + 1 if is_place else index][:200]}"
    return f": {lines[-1][:200]}" if lines else ""


def _tell(log: Path, ended: threading.Event, watch: WatchFn | None) -> None:
    while watch is not None and not ended.wait(_POLL_S):
        with suppress(OSError), log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 500))
            watch(file.read().decode("utf-8", "replace"))
