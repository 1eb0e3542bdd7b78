"""One CMake project built for one target: quiet, parallel, and the same bytes every time."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeflow.errors import ToolMissingError
from edgeflow.toolchain.processes import run

if TYPE_CHECKING:
    from edgeflow.progress import Progress
    from edgeflow.toolchain.compilers import Compiler
    from edgeflow.toolchain.targets import Target

CMAKE_PACKAGE, NINJA_PACKAGE = "cmake==4.4.5", "ninja==1.13.2"

_CONFIGURE_TIMEOUT_S = 600.0
_BUILD_TIMEOUT_S = 4 * 3600.0
_FROM_OUTSIDE = ("CFLAGS", "CXXFLAGS", "ASMFLAGS", "LDFLAGS", "CC", "CXX")
"""What would make another program on another person's machine."""


def cmake_program(folder: Path) -> Path | None:
    """CMake: on PATH, beside this Python, or edgeflow's own in `folder`."""
    return _program("cmake", folder / CMAKE_PACKAGE.replace("==", "-") / "cmake/data/bin/cmake")


def ninja_program(folder: Path) -> Path | None:
    """Ninja, where `cmake_program` looks; without it make is used."""
    return _program("ninja", folder / NINJA_PACKAGE.replace("==", "-") / "bin/ninja")


def require_cmake(folder: Path) -> Path:
    """Raises ToolMissingError with the command that brings CMake."""
    found = cmake_program(folder)
    if found is None:
        hint = "edgeflow toolchain install, or: apt-get install cmake ninja-build (Debian, Ubuntu)"
        raise ToolMissingError("CMake is not installed; it builds the native agent", hint=hint)
    if ninja_program(folder) is None and shutil.which("make") is None:
        raise ToolMissingError(
            "neither Ninja nor make is installed; CMake needs one",
            hint="edgeflow toolchain install, or: apt-get install ninja-build (Debian, Ubuntu)",
        )
    return found


def build_project(
    source: Path,
    target: Target,
    compiler: Compiler,
    definitions: Mapping[str, str],
    *,
    what: str,
    targets: Sequence[str],
    scratch: Path,
    tools: Path,
    progress: Progress,
    configure_only: bool = False,
) -> Path:
    """Configures and builds `targets` of the project in `source`; the build folder, below `scratch`.

    Raises ToolMissingError: no CMake, or the compiler's own words.
    """
    cmake = require_cmake(tools)
    ninja = ninja_program(tools)
    folder = scratch / "build"
    arguments = ["-S", str(source), "-B", str(folder)]
    arguments += (
        ["-G", "Unix Makefiles"] if ninja is None else ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
    )
    arguments += compiler.cmake_arguments(target, scratch / "tools")
    arguments += [f"-D{name}={value}" for name, value in definitions.items()]
    # The folders of one build would be in messages of assertions, and so in the bytes.
    # In quotes: a home may be in "Application Support".
    flags = f'"-ffile-prefix-map={source}=." "-ffile-prefix-map={folder}=./build"'
    env = dict.fromkeys(_FROM_OUTSIDE, "") | {"CFLAGS": flags, "CXXFLAGS": flags, "ASMFLAGS": flags}
    # zig compiles its C and C++ libraries at first use, which takes minutes: once for all builds.
    env |= {"SOURCE_DATE_EPOCH": "0", "ZERO_AR_DATE": "1", "ZIG_GLOBAL_CACHE_DIR": str(tools / "zig-cache")}
    hint = "see --debug for the compiler's words"
    progress.step(f"configure {what}")
    run(
        [str(cmake), *arguments],
        what=what,
        folder=scratch,
        timeout_s=_CONFIGURE_TIMEOUT_S,
        hint=hint,
        env=env,
    )
    if not configure_only:
        progress.step(f"compile {what}")
        argv = [
            str(cmake),
            "--build",
            str(folder),
            "--parallel",
            str(os.cpu_count() or 1),
            "--target",
            *targets,
        ]
        run(
            argv, what=what, folder=scratch, timeout_s=_BUILD_TIMEOUT_S, hint=hint, env=env,
            watch=lambda text: _tell(text, progress),
        )  # fmt: skip
    return folder


def _tell(text: str, progress: Progress) -> None:
    """Ninja's "[12/345]" or make's "[ 42%]" as progress."""
    found = re.findall(r"^\[\s*(\d+)(?:/(\d+)|%)\]", text, re.MULTILINE)
    if found:
        done, total = found[-1]
        progress.update(float(done), float(total or 100))


def _program(name: str, own: Path) -> Path | None:
    if own.is_file():
        return own
    beside = Path(sys.executable).with_name(name)
    if beside.is_file():
        return beside
    found = shutil.which(name)
    return None if found is None else Path(found)
