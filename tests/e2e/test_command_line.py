"""The face: help, global options, import cost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

HEAVY = ("onnx", "onnxruntime", "ncnn", "numpy", "PIL", "paramiko", "adbutils", "pydantic", "yaml", "sqlite3")


def test_help_imports_no_ml_library() -> None:
    script = (
        "import sys\n"
        "from edgeflow.cli.main import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "deploy" in done.stdout


@pytest.mark.parametrize(
    "words",
    [[], ["deploy"], ["run"], ["convert"], ["init"], ["devices"], ["agent"], ["zoo"], ["results"], ["doctor"],
     ["results", "export"], ["agent", "start"]],
)  # fmt: skip
def test_every_command_has_help(edgeflow: Callable[..., Any], words: list[str]) -> None:
    done = edgeflow(*words, "--help")
    assert done.code == 0
    assert "Usage: edgeflow" in done.out


@pytest.mark.parametrize(
    "words", [["--json", "devices", "list"], ["devices", "list", "--json"], ["devices", "--json", "list"]]
)
def test_global_options_stand_anywhere(edgeflow: Callable[..., Any], words: list[str]) -> None:
    assert edgeflow(*words).document["schema"] == "edgeflow.devices/1"


def test_a_pipe_that_closes_early_is_no_error(edgeflow: Callable[..., Any]) -> None:
    done = edgeflow("devices", "facts", "local")
    assert done.code == 0
    assert not any(line != line.rstrip() for line in done.out.splitlines())


def test_completion_is_offered(edgeflow: Callable[..., Any]) -> None:
    assert (
        "complete" in edgeflow("--show-completion", "bash", SHELL="/bin/bash").out
        or "edgeflow" in edgeflow("--show-completion", SHELL="/bin/bash").out
    )


def test_doctor_names_every_part(fresh_edgeflow: Callable[..., Any]) -> None:
    document = fresh_edgeflow("doctor", "--json").document
    names = {check["name"] for check in document["checks"]}
    assert {"home", "store", "runtime ncnn", "runtime onnxruntime"} <= names


def test_doctor_is_content_with_a_fresh_installation(fresh_edgeflow: Callable[..., Any]) -> None:
    """What the first use fetches, or what only devices need, is no fault of the installation."""
    done = fresh_edgeflow("doctor")
    assert done.code == 0, done.out
    assert "missing" not in done.out


def test_toolchain_doctor_fails_for_what_is_needed_alone(fresh_edgeflow: Callable[..., Any]) -> None:
    done = fresh_edgeflow("toolchain", "doctor", "--json")
    checks = {check["name"]: check for check in done.document["checks"]}
    assert checks["runtime snpe"]["optional"] and not checks["runtime snpe"]["ready"]
    assert not checks["compiler linux-aarch64"]["optional"]
    needed = [name for name, check in checks.items() if not check["ready"] and not check["optional"]]
    assert done.code == (6 if needed else 0), needed


def test_devices_check_tells_the_cure_and_exits_3(edgeflow: Callable[..., Any], tmp_path: Any) -> None:
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text("devices:\n  board: {transport: local, python: /nonexistent/python3}\n")
    done = edgeflow("--devices-file", fleet, "devices", "check", "--json")
    assert done.code == 3
    states = {device["name"]: device["state"] for device in done.document["devices"]}
    assert states == {"local": "ok", "board": "problem"}
    problem = next(device for device in done.document["devices"] if device["name"] == "board")
    assert "python" in problem["fix"]
