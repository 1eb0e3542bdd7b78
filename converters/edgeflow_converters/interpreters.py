"""Finding a Python of a wanted version on this machine: our own, on PATH, in pyenv, in uv's store."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgeflow_converters import tool
from edgeflow_converters.errors import ConvertError

_PROBE_TIMEOUT_S = 20.0
# venv needs ensurepip to put pip into an environment; Debian's python3 comes without it.
_PROBE = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"


def find_interpreter(versions: Sequence[str]) -> Path | None:
    """The first interpreter of one of `versions` ("3.12"), by their order, that can make environments."""
    for version in versions:
        for candidate in candidates(version):
            if version_of(candidate) == version:
                return candidate
    return None


def candidates(version: str) -> Iterator[Path]:
    """Files that are likely to be Python `version`; each still has to tell its version itself."""
    seen: set[Path] = set()
    for path in _places(version):
        if path.is_file() and os.access(path, os.X_OK) and path.resolve() not in seen:
            seen.add(path.resolve())
            yield path


def _places(version: str) -> Iterator[Path]:
    own = getattr(sys, "_base_executable", None) or sys.executable
    if own and "{}.{}".format(*sys.version_info[:2]) == version:
        yield Path(own)
    for name in (f"python{version}", "python3", "python"):
        found = shutil.which(name)
        if found is not None:
            yield Path(found)
    home = Path(os.environ.get("HOME") or Path.home())
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv") / "versions"
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python")
    for folder, pattern in ((pyenv, f"{version}.*"), (uv, f"cpython-{version}.*")):
        for installed in sorted(folder.glob(pattern), reverse=True):
            yield installed / "bin" / f"python{version}"


def version_of(interpreter: Path) -> str | None:
    """ "3.12", as the interpreter itself tells; None if it does not run or cannot make environments."""
    with tempfile.TemporaryDirectory(prefix="edgeflow-") as folder:
        try:
            finished = tool.run(
                [str(interpreter), "-I", "-c", _PROBE],
                name="python",
                cwd=Path(folder),
                timeout_s=_PROBE_TIMEOUT_S,
            )
        except ConvertError:
            return None
    words = finished.log.split()
    return words[-1] if finished.returncode == 0 and words else None


def find_uv() -> str | None:
    """The uv program on PATH."""
    return shutil.which("uv")
