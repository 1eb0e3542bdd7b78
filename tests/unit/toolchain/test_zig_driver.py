"""GNU's flags, as CMake projects write them, reach zig in zig's words."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edgeflow import resources


@pytest.fixture
def zig(tmp_path: Path) -> Path:
    """Prints its arguments, one a line."""
    program = tmp_path / "zig"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    return program


def driven(zig: Path, tool: str, *words: str) -> list[str]:
    driver = str(resources.toolchains() / "zig" / "driver.sh")
    done = subprocess.run(
        ["sh", driver, str(zig), "aarch64-linux-musl", tool, *words],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.splitlines()


def processor(words: list[str]) -> list[str]:
    return [word for word in words if word.startswith("-mcpu=")]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["-march=armv8.2-a+fp16"], "-mcpu=generic+v8_2a+fullfp16"),
        (["-march=armv8.2-a+fp16+fp16fml"], "-mcpu=generic+v8_2a+fullfp16+fp16fml+fullfp16"),
        (["-march=armv8.4-a+fp16+dotprod+i8mm"], "-mcpu=generic+v8_4a+fullfp16+dotprod+i8mm"),
        (["-march=armv8.6-a+fp16+dotprod+sve+bf16"], "-mcpu=generic+v8_6a+fullfp16+dotprod+sve+bf16"),
        (["-march=armv8-a+crypto"], "-mcpu=generic+v8a+aes+sha2"),
        (["-march=armv7-a", "-mfpu=neon", "-mfloat-abi=hard"], "-mcpu=generic+v7a+neon"),
        (["-march=armv7-a", "-mfpu=neon-vfpv4", "-mfp16-format=ieee"], "-mcpu=generic+v7a+neon+vfp4"),
    ],
)
def test_the_processor_is_told(zig: Path, flags: list[str], expected: str) -> None:
    words = driven(zig, "c++", *flags, "-c", "a.cc")
    assert processor(words) == [expected]
    assert words[-2:] == ["-c", "a.cc"]
    assert not [word for word in words if word.startswith(("-march", "-mfpu", "-mfp16", "-mfloat"))]
    assert words[words.index("-target") + 1] == "aarch64-linux-musl"


def test_what_tells_no_processor_is_left_alone(zig: Path) -> None:
    words = driven(zig, "cc", "-O2", "-DNAME=a b", "x.c")
    assert processor(words) == []
    assert "-DNAME=a b" in words
    assert processor(driven(zig, "cc", "-mavx2", "x.c")) == []


def test_assembly_with_half_floats_gets_its_architecture(zig: Path) -> None:
    words = driven(zig, "cc", "-march=armv8.2-a+fp16", "-c", "a.S")
    included = Path(words[words.index("-include") + 1])
    assert ".arch armv8.2-a+fp16" in included.read_text()
    assert "-include" not in driven(zig, "cc", "-march=armv8.2-a+fp16", "-c", "a.c")


def test_other_tools_get_their_arguments_as_they_are(zig: Path) -> None:
    assert driven(zig, "ar", "qc", "-march=x", "b.o") == ["ar", "qc", "-march=x", "b.o"]
