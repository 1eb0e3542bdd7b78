"""Paddle Lite's file for another processor never reaches a device."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import paddle_models
from edgeflow.deploy.for_device import for_device
from edgeflow.errors import DeviceError


@dataclass(frozen=True)
class Made:
    path: Path
    files: dict[str, str]
    notes: tuple[str, ...] = ()
    runtime: str = "paddlelite"
    size_bytes: int = 0
    sha256: dict[str, str] = field(default_factory=lambda: {"model": "x86", "model_arm": "arm"})


def facts(arch: str) -> Any:
    return SimpleNamespace(arch=arch)


def made(**changes: Any) -> Any:
    files = {"model": "small.x86.nb", "model_arm": "small.arm.nb"}
    return Made(**{"path": paddle_models.FOLDER, "files": files, **changes})


@pytest.mark.parametrize(
    ("arch", "file"),
    [("x86_64", "small.x86.nb"), ("aarch64", "small.arm.nb"), ("armv7l", "small.arm.nb")],
)
def test_a_device_gets_the_file_of_its_processor_alone(arch: str, file: str) -> None:
    given = for_device(made(), "board", facts(arch))
    assert given.files == {"model": file} and list(given.sha256) == ["model"]
    assert given.size_bytes == (paddle_models.FOLDER / file).stat().st_size


@pytest.mark.parametrize(
    ("arch", "words"),
    [("x86_64", "optimised for ARM, but"), ("aarch64", "optimised for x86, but")],
)
def test_a_file_that_is_for_another_processor_is_refused_whatever_it_is_called(arch: str, words: str) -> None:
    swapped = made(files={"model": "small.arm.nb", "model_arm": "small.x86.nb"})
    with pytest.raises(DeviceError, match=words) as caught:
        for_device(swapped, "board", facts(arch))
    assert str(caught.value).startswith("board: ") and caught.value.hint


def test_a_model_that_opt_refused_for_arm_says_why() -> None:
    alone = made(files={"model": "small.x86.nb"}, notes=("not for ARM: Paddle Lite has no erf for arm",))
    assert for_device(alone, "laptop", facts("x86_64")).files == {"model": "small.x86.nb"}
    with pytest.raises(DeviceError, match="no erf for arm"):
        for_device(alone, "phone", facts("aarch64"))
