"""Runtimes that are compiled from source into a worker: today ncnn, as a static library with its headers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeflow import resources
from edgeflow.errors import UsageError

if TYPE_CHECKING:
    from edgeflow.toolchain.compilers import Compiler
    from edgeflow.toolchain.targets import Target

LAYERS = ("all", "common")

_SMALL = "-ffunction-sections -fdata-sections -fno-unwind-tables -fno-asynchronous-unwind-tables"

_CPU_MINUTES = {  # layers, machine -> measured on a server core of 2024, g++ 12
    ("all", "aarch64"): 5.0,
    ("all", "armv7l"): 3.0,
    ("all", "x86_64"): 13.0,
    ("common", "aarch64"): 2.5,
    ("common", "armv7l"): 2.0,
    ("common", "x86_64"): 5.0,
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How CMake builds one runtime from its source, and about how long that takes."""

    version: int  # counts up when the recipe makes another library
    definitions: Callable[[str, Target, Compiler, str], Mapping[str, str]]
    cpu_minutes: Callable[[Target, str], float]


def check_layers(layers: str) -> None:
    """Raises UsageError for a choice that there is not."""
    if layers not in LAYERS:
        raise UsageError(f"unknown layers '{layers}'", hint=f"use one of: {', '.join(LAYERS)}")


def _ncnn_definitions(version: str, target: Target, compiler: Compiler, layers: str) -> Mapping[str, str]:
    # Its own date would be the day of the build.
    definitions = {"NCNN_VERSION": version.rpartition(".")[2]}
    switched_off = ["VULKAN", "PYTHON", "C_API", "PIXEL", "PIXEL_ROTATE", "PIXEL_AFFINE", "PIXEL_DRAWING"]
    switched_off += [f"BUILD_{what}" for what in ("TOOLS", "EXAMPLES", "BENCHMARK", "TESTS")]
    # zig brings no OpenMP runtime; ncnn has a small one of its own.
    definitions |= {"NCNN_OPENMP": "ON", "NCNN_SIMPLEOMP": "ON" if compiler.kind == "zig" else "OFF"}
    # As it is made for Android; half a megabyte less, most of it tables of exceptions that it does not throw.
    definitions |= {"NCNN_RUNTIME_CPU": "ON", "NCNN_DISABLE_EXCEPTION": "ON", "NCNN_DISABLE_RTTI": "ON"}
    definitions |= {"CMAKE_CXX_FLAGS_RELEASE": f"-O3 -DNDEBUG {_SMALL}"}
    if layers == "common":
        switched_off += ["INT8", "WEIGHT_QUANT", "BF16", "ARM86SVE", "AVX512", "AVXVNNI"]
        definitions |= {f"WITH_LAYER_{name}": "OFF" for name in _uncommon_ncnn_layers()}
    return definitions | {f"NCNN_{name}": "OFF" for name in switched_off}


def _ncnn_cpu_minutes(target: Target, layers: str) -> float:
    machine = {"arm64": "aarch64"}.get(target.machine, target.machine)
    return _CPU_MINUTES.get((layers, machine), _CPU_MINUTES[layers, "x86_64"])


def _uncommon_ncnn_layers() -> list[str]:
    """The layers of ncnn that the common ones do not need, in the spelling of its CMake options."""
    return _words(resources.toolchains() / "ncnn-layers.txt")


def _words(path: Path) -> list[str]:
    lines = path.read_text().splitlines()
    return [word.lower() for line in lines if not line.startswith("#") for word in line.split()]


RECIPES: Mapping[str, Recipe] = {"ncnn": Recipe(2, _ncnn_definitions, _ncnn_cpu_minutes)}
"""The runtimes that have no library to take from a package."""
