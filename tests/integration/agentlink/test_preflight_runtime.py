"""Whether a device can have a runtime of the Python agent at all is known before anything slow is done."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edgeflow.agentlink.choice import require_python
from edgeflow.config.devices import DeviceSpec
from edgeflow.devices.device import Device, open_device
from edgeflow.errors import DeviceError

ARMV7 = {"arch": "armv7l", "abis": ("armeabi-v7a",)}


@pytest.fixture
def bare(bare_python: Path, tmp_path: Path) -> Iterator[Device]:
    """This machine with a Python that has no runtime."""
    spec = DeviceSpec.model_validate({"name": "pi3", "transport": "local", "python": str(bare_python)})
    with open_device(spec, tmp_path) as device:
        yield device


def test_a_device_that_can_be_given_the_runtime_passes(bare: Device) -> None:
    require_python(bare, "ncnn")
    require_python(bare, "onnxruntime")


def test_armv7_without_the_runtime_is_refused_by_name(bare: Device) -> None:
    board = replace(bare, facts=replace(bare.facts, **ARMV7))  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match=r"pi3: onnxruntime is not installed there.*numpy.*armv7l"):
        require_python(board, "onnxruntime")


def test_armv7_that_has_the_runtime_by_its_own_means_passes(bare: Device) -> None:
    board = replace(bare, facts=replace(bare.facts, **ARMV7), python=sys.executable)  # type: ignore[arg-type]
    require_python(board, "onnxruntime")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"python_version": None}, "no Python at"),
        ({"python_version": "3.7.3"}, "its Python is 3.7.3; the Python agent needs Python 3.8"),
        ({"python_version": None, "os": "android"}, "Android has no Python"),
    ],
)
def test_a_device_that_cannot_run_the_agent_is_named(
    bare: Device, changes: dict[str, object], words: str
) -> None:
    board = replace(bare, facts=replace(bare.facts, **changes))  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match=words) as caught:
        require_python(board, "ncnn")
    assert caught.value.message.startswith("pi3: ") and caught.value.hint
