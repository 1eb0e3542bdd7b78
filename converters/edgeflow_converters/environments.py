"""Environments of their own for heavy or conflicting converters: made once from a lock, whole or not at all.

    TOOLS/envs/<name>-<digest of the lock>/    a virtual environment; another lock makes another one
    TOOLS/envs/.<name>.lock                    held by the process that makes it, while others wait
    TOOLS/envs/.making-<name>-*                one in the making; renamed when complete

Nothing of edgeflow's own environment is seen inside: programs are started by run(), with Python's isolated
mode. Console scripts are not used, for their first line names the folder in which they were made.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edgeflow_converters import tool
from edgeflow_converters.base import ProgressFn, ToolStatus
from edgeflow_converters.cache import FULL_BELOW_BYTES, NO_SPACE, says_full, unwritable
from edgeflow_converters.errors import CacheUnwritable, ConverterFailed, ToolMissing
from edgeflow_converters.interpreters import find_interpreter, find_uv
from edgeflow_converters.locks import Lock, load_locks, parts_of

_INSTALL_TIMEOUT_S = 3600.0
_VENV_TIMEOUT_S = 300.0


class Environment:
    """The environment of one lock in the tools folder. Creating the object touches nothing."""

    def __init__(self, lock: Lock, tools_root: Path) -> None:
        self.lock = lock
        self._root = tools_root / "envs"
        self.folder = self._root / f"{lock.name}-{lock.digest}"

    @property
    def python(self) -> Path:
        """Its interpreter, whether it is there or not."""
        return self.folder / "bin" / "python"

    @property
    def ready(self) -> bool:
        """Whether it is whole and its interpreter still there: that one may have been uninstalled."""
        return self.python.is_file() and os.access(self.python, os.X_OK)

    def status(self) -> ToolStatus:
        """Whether it is there, else what is missing and the command that mends it. Installs nothing."""
        lock = self.lock
        if self.ready:
            return ToolStatus(lock.name, ready=True, version=lock.digest)
        if find_uv() is None and find_interpreter(lock.python) is None:
            return ToolStatus(lock.name, ready=False, missing=_no_python(lock), fix=_python_cure(lock))
        return ToolStatus(
            lock.name,
            ready=False,
            missing=f"its environment ({lock.disk_mb} MB), which the first conversion makes",
            fix=f"edgeflow toolchain install {lock.name}",
            on_demand=True,
        )

    def ensure(self, progress: ProgressFn) -> Path:
        """The environment's interpreter; the environment is made now if it is not there.

        Safe for two processes at once: one makes it, the other waits. Raises ToolMissing with the command
        that mends it, CacheUnwritable if the tools folder cannot be written or the disk is too full.
        """
        if self.ready:
            return self.python
        with self._alone(progress):
            if not self.ready:  # else another process made it while we waited
                self._make(progress)
        return self.python

    @contextmanager
    def _alone(self, progress: ProgressFn) -> Iterator[None]:
        """Holds the environment among processes, by a lock that is let go of however the process ends."""
        path = self._root / f".{self.lock.name}.lock"
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise CacheUnwritable(f"cannot write the tools folder {self._root}: {error.strerror}") from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                progress(f"wait for another process that installs {self.lock.name}")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _make(self, progress: ProgressFn) -> None:
        lock = self.lock
        for left in self._root.glob(f".making-{lock.name}-*"):
            shutil.rmtree(left, ignore_errors=True)  # we hold the lock: whoever made it was killed
        interpreter = find_interpreter(lock.python)
        uv = find_uv()
        if interpreter is None and uv is None:
            raise ToolMissing(_no_python(lock), hint=_python_cure(lock))
        free_mb = shutil.disk_usage(self._root).free // 1_000_000
        if free_mb < lock.disk_mb:
            raise CacheUnwritable(
                f"{lock.name} needs {lock.disk_mb} MB in {self._root}, {free_mb} MB are free",
                hint="free some space, or set EDGEFLOW_HOME to a larger disk",
            )
        progress(f"install {lock.name}, once: {lock.disk_mb} MB on disk")
        staging = Path(tempfile.mkdtemp(prefix=f".making-{lock.name}-", dir=self._root))
        try:
            made = staging / "env"
            if uv is None or not self._by_uv(uv, interpreter, made, progress):
                if interpreter is None:
                    raise ToolMissing(_no_python(lock), hint=_python_cure(lock))
                self._by_pip(interpreter, made)
            if self.folder.is_symlink() or self.folder.exists():
                self.folder.rename(staging / "broken")  # its interpreter is gone
            made.rename(self.folder)
        except OSError as error:
            raise unwritable(self._root, error) from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _by_pip(self, interpreter: Path, made: Path) -> None:
        self._step([str(interpreter), "-I", "-m", "venv", str(made)], made.parent, _VENV_TIMEOUT_S)
        for requirements, index in self._requirements(made.parent):
            self._step(
                [
                    str(made / "bin" / "python"), "-I", "-m", "pip", "install", "--disable-pip-version-check",
                    "--no-input", "--no-compile", "--only-binary", ":all:", "--require-hashes",
                    *(("--extra-index-url", index) if index else ()), *self._bounds(), "-r", requirements,
                ],
                made.parent,
                _INSTALL_TIMEOUT_S,
            )  # fmt: skip

    def _requirements(self, folder: Path) -> Iterator[tuple[str, str | None]]:
        """Files of requirements in `folder`, each with the further index to look in."""
        if self.lock.package_index is None:
            yield str(self.lock.path), None
            return
        for number, (text, index) in enumerate(parts_of(self.lock)):
            path = folder / f"{self.lock.name}-{number}.txt"
            path.write_text(text, encoding="utf-8")
            yield str(path), index

    def _bounds(self) -> Sequence[str]:
        return ("--no-deps",) if self.lock.complete else ()

    def _by_uv(self, uv: str, interpreter: Path | None, made: Path, progress: ProgressFn) -> bool:
        """Whether uv made it. It reads neither pip's configuration nor its index, so it may fail where pip
        does not; that is told, and pip is tried."""
        python = str(interpreter or self.lock.python[0])
        try:
            self._step(
                [uv, "venv", "--relocatable", "--python", python, str(made)], made.parent, _INSTALL_TIMEOUT_S
            )
            for requirements, index in self._requirements(made.parent):
                self._step(
                    [
                        uv, "pip", "install", "--python", str(made / "bin" / "python"), "--only-binary",
                        ":all:", "--require-hashes", *(("--index", index) if index else ()), *self._bounds(),
                        "-r", requirements,
                    ],
                    made.parent,
                    _INSTALL_TIMEOUT_S,
                )  # fmt: skip
        except ToolMissing as error:
            if interpreter is None:
                raise
            progress(f"uv could not install {self.lock.name} ({error.message}); try pip")
            shutil.rmtree(made, ignore_errors=True)
            return False
        return True

    def _step(self, argv: Sequence[str], cwd: Path, timeout_s: float) -> None:
        name = "uv" if Path(argv[0]).name == "uv" else "pip" if "pip" in argv else "venv"
        try:
            tool.run_checked(argv, name=name, cwd=cwd, timeout_s=timeout_s)
        except ConverterFailed as error:
            if shutil.disk_usage(cwd).free < FULL_BELOW_BYTES or says_full(error.log):
                raise unwritable(self._root, OSError(NO_SPACE[0], "no space left"), what="tools") from error
            raise ToolMissing(
                f"the environment of {self.lock.name} could not be made: {error.message}",
                hint=f"check the network, then: edgeflow toolchain install {self.lock.name}",
                log=error.log,
            ) from error


def environment(name: str, tools_root: Path) -> Environment:
    """The environment of the lock `name`. Raises ToolMissing for a name that there is not."""
    locks = load_locks()
    if name not in locks:
        raise ToolMissing(f"there is no tool {name!r}", hint=f"known tools: {', '.join(locks)}")
    return Environment(locks[name], tools_root)


def isolated(python: Path, *words: str) -> list[str]:
    """The command that runs `words` with an environment's interpreter and nothing of ours."""
    return [str(python), "-I", *words]


def _no_python(lock: Lock) -> str:
    own = "{}.{}".format(*sys.version_info[:2])
    return f"{lock.name} needs Python {' or '.join(lock.python)}, and none was found (edgeflow runs on {own})"


def _python_cure(lock: Lock) -> str:
    version = lock.python[0]
    return f"pyenv install {version}, or install uv and run: uv python install {version}"
