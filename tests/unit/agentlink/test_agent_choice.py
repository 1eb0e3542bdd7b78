"""Which agent a device gets, and that it is told where it is not obvious."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import pytest

from edgeflow.agentlink.choice import Choice, choose_agent, tell
from edgeflow.config.devices import DeviceSpec
from edgeflow.devices.device import Device
from edgeflow.devices.transports.base import Completed
from edgeflow.errors import DeviceError, ToolMissingError
from edgeflow.toolchain import bundle, compilers
from edgeflow.toolchain.build import Agent, Worker
from edgeflow.types import DeviceFacts
from edgeflow.workspace import Workspace
from edgeflow_agent.identity import build_of, sources

BOARD = DeviceFacts(
    os="linux", os_version="Debian 12", kernel="6.1", arch="aarch64", abis=("arm64-v8a",), libc="glibc",
    libc_version="2.36", model="Board", soc=None, api_level=None, cores=4, clusters=(), memory_bytes=None,
    memory_available_bytes=None, disk_free_bytes=None, python_version="3.11.2",
)  # fmt: skip
PHONE = replace(BOARD, os="android", libc="bionic", libc_version=None, python_version=None)
ARMV7 = replace(BOARD, arch="armv7l", abis=("armeabi-v7a",))


@dataclass
class Told:
    """What the user read."""

    notes: list[str] = field(default_factory=list)

    def step(self, text: str) -> None:
        del text

    def update(self, done: float, total: float | None) -> None:
        del done, total

    def note(self, text: str) -> None:
        self.notes.append(text)


@dataclass
class Reached:
    """A transport to a device that has these files and whose Python has no package."""

    files: dict[str, int] = field(default_factory=dict)

    def file_size(self, path: PurePosixPath) -> int | None:
        return self.files.get(str(path))

    def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        del timeout_s
        return Completed(tuple(argv), 1, b"", b"")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Nothing is built, and there is nothing to build with."""
    for name in (bundle.VARIABLE, "EDGEFLOW_BUILD_CACHE", "ANDROID_NDK_HOME", "ANDROID_NDK_ROOT"):
        monkeypatch.delenv(name, raising=False)
    empty = tmp_path / "bin"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    monkeypatch.setattr(compilers, "find_spec", lambda name: None)
    return Workspace(tmp_path / "home", tmp_path)


def device(
    facts: DeviceFacts, transport: str = "ssh", files: dict[str, int] | None = None, **keys: Any
) -> Device:
    where = {"address": "board"} if transport == "ssh" else {}
    spec = DeviceSpec.model_validate({"name": "d", "transport": transport, **where, **keys})
    return Device(spec, Reached(files or {}), facts, PurePosixPath("/w"), "python3")  # type: ignore[arg-type]


def built(workspace: Workspace, target: str, *runtimes: str) -> None:
    """A bundle that holds these."""
    program = workspace.cwd / "program"
    program.write_bytes(b"\x7fELF")
    one = SimpleNamespace(
        target=SimpleNamespace(name=target),
        agent=lambda: Agent(target, "b" * 16, "g++", program),
        worker=lambda runtime: Worker(runtime, "1.0", target, {"worker": program}),
    )
    bundle.write_bundle([one], lambda name: runtimes, workspace.home / bundle.FOLDER)  # type: ignore[list-item]


def chosen(workspace: Workspace, of: Device, runtime: str | None = "ncnn", **how: Any) -> Choice:
    return choose_agent(of, runtime, workspace, Told(), **how)


def test_a_board_with_a_python_gets_the_python_agent(workspace: Workspace) -> None:
    assert chosen(workspace, device(BOARD)).kind == "python"


def test_a_board_gets_the_native_agent_where_it_is_built(workspace: Workspace) -> None:
    built(workspace, "linux-aarch64", "ncnn")
    assert chosen(workspace, device(BOARD)).kind == "native"
    assert chosen(workspace, device(BOARD), None).kind == "native"
    # Not for a runtime that would have to be compiled first.
    assert chosen(workspace, device(BOARD), "onnxruntime").kind == "python"


def test_this_machine_gets_the_python_agent_even_so(workspace: Workspace) -> None:
    built(workspace, "host", "ncnn")
    assert chosen(workspace, device(BOARD, "local")).kind == "python"
    assert chosen(workspace, device(BOARD, "local"), wanted="native").kind == "native"


def test_what_is_asked_for_counts(workspace: Workspace) -> None:
    built(workspace, "linux-aarch64", "ncnn")
    assert chosen(workspace, device(BOARD, agent="python")).kind == "python"
    assert chosen(workspace, device(BOARD, agent="python"), wanted="native").kind == "native"
    assert chosen(workspace, device(BOARD), "onnxruntime", wanted="native").kind == "native"


def test_a_phone_gets_the_native_agent(workspace: Workspace) -> None:
    choice = chosen(workspace, device(PHONE, "adb"))
    assert choice.kind == "native" and choice.products is not None
    with pytest.raises(DeviceError, match="d: Android has no Python"):
        chosen(workspace, device(PHONE, "adb"), wanted="python")


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (replace(BOARD, python_version=None), "it has no Python at 'python3'"),
        (replace(BOARD, python_version="3.7.3"), "its Python is 3.7.3"),
        (ARMV7, "numpy, which it needs, is not published for armv7l Linux"),
    ],
)
def test_where_the_python_agent_cannot_the_native_one_does_and_says_why(
    workspace: Workspace, facts: DeviceFacts, why: str
) -> None:
    target = "linux-armv7" if facts is ARMV7 else "linux-aarch64"
    built(workspace, target, "ncnn")
    there, told = device(facts), Told()
    choice = chosen(workspace, there)
    assert choice.kind == "native"
    tell(choice, there, "ncnn", told)
    (note,) = told.notes
    assert note.startswith(f"d: native agent for {target}: ") and why in note


def test_where_neither_can_both_reasons_are_given(workspace: Workspace) -> None:
    with pytest.raises(
        DeviceError, match=r"d: onnxruntime .*armv7l.*nor .*no native onnxruntime for linux-armv7"
    ):
        chosen(workspace, device(ARMV7), "onnxruntime")
    riscv = replace(BOARD, arch="riscv64", abis=("riscv64",), python_version=None)
    with pytest.raises(DeviceError, match=r"no Python.*not built for linux riscv64"):
        chosen(workspace, device(riscv))


LAPTOP = replace(BOARD, arch="x86_64", abis=("x86_64",))


def test_paddle_lite_runs_natively_beside_a_python_that_its_wheel_is_not_for(workspace: Workspace) -> None:
    built(workspace, "host", "paddlelite")
    there, told = device(LAPTOP, "local"), Told()
    choice = chosen(workspace, there, "paddlelite")
    assert choice.kind == "native"
    tell(choice, there, "paddlelite", told)
    (note,) = told.notes
    assert "native agent for host" in note and "its Python is 3.11" in note
    older = device(replace(LAPTOP, python_version="3.10.13"), "local")
    assert chosen(workspace, older, "paddlelite").kind == "python"


def test_a_board_for_paddle_lite_is_told_what_to_bring(workspace: Workspace) -> None:
    """There is no wheel for ARM at all, so no other Python helps."""
    with pytest.raises(
        DeviceError, match=r"x86-64 alone, this is aarch64; nor does.*no native paddlelite for linux-aarch64"
    ) as at:
        chosen(workspace, device(BOARD), "paddlelite")
    assert "EDGEFLOW_RUNTIME_DIR_PADDLELITE" in at.value.hint and "Python" not in at.value.hint


def test_without_a_compiler_the_error_names_the_cure(workspace: Workspace) -> None:
    there = device(PHONE, "adb")
    with pytest.raises(ToolMissingError) as caught:
        tell(chosen(workspace, there), there, "ncnn", Told())
    assert "edgeflow toolchain install --target android-arm64-static" in caught.value.hint


def test_a_daemon_that_runs_is_used(workspace: Workspace) -> None:
    """Whichever agent somebody started there."""
    built(workspace, "linux-aarch64", "ncnn")
    python = f"/w/run/{build_of(sources())}/agent.pid"
    native = f"/w/run/{'b' * 16}/agent.pid"
    assert chosen(workspace, device(BOARD, files={python: 5})).kind == "python"
    assert chosen(workspace, device(BOARD, files={python: 5, native: 5})).kind == "native"
    assert chosen(workspace, device(BOARD, files={python: 0})).kind == "native"
    # Also for a runtime whose worker is not built: a core of the other kind beside the daemon helps nobody.
    choice = chosen(workspace, device(BOARD, files={native: 5}), "onnxruntime")
    assert choice.kind == "native" and choice.why == "its daemon runs"


@pytest.mark.parametrize("facts", [BOARD, PHONE])
def test_snpe_on_a_device_needs_the_users_sdk_and_says_how_to_name_it(
    workspace: Workspace, facts: DeviceFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SNPE_ROOT", "QAIRT_SDK_ROOT", "QNN_SDK_ROOT", "EDGEFLOW_RUNTIME_DIR_SNPE"):
        monkeypatch.delenv(name, raising=False)
    of = device(facts, "adb" if facts is PHONE else "ssh")
    with pytest.raises(ToolMissingError, match="needs its vendor's libraries") as caught:
        chosen(workspace, of, "snpe")
    assert "SNPE_ROOT" in caught.value.hint
    monkeypatch.setenv("QAIRT_SDK_ROOT", str(workspace.cwd))
    assert chosen(workspace, of, "snpe").kind == "native"
