"""The daemon as a unit of a real systemd, and a word why not where there is none."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

import systemd_user

# $3 work folder, then the agent's command line.
SCENE = r"""
work=$3; shift 3
agent() { command=$1; "${program[@]}" "$command" --work "$work"; }
program=("$@")
boot
agent service > first.json
agent service > again.json
agent status > running.json
shut_down
boot
until systemctl --user -q is-active 'edgeflow-agent-*'; do sleep 0.05; done
agent status > rebooted.json
agent uninstall > removed.json
systemctl --user list-units --all --no-legend 'edgeflow*' > units.txt
find "$HOME" -name '*edgeflow*' > files.txt
[ ! -e "$work" ]
shut_down
"""


def test_a_unit_starts_the_daemon_again_and_goes_without_a_trace(agent: Any, tmp_path: Path) -> None:
    if agent.emulated:
        pytest.skip("systemd starts the unit's program itself, without the emulator")
    # Every character that systemd reads as something else stands in the path.
    work = tmp_path / 'wo rk%n$HOME"x'
    program = [*agent.runner, str(agent.path)]
    systemd_user.play(SCENE, tmp_path, str(work), *program, environment=dict(os.environ))

    def document(name: str) -> Any:
        return json.loads((tmp_path / f"{name}.json").read_text())

    first = document("first")
    assert first["service"].startswith("edgeflow-agent-") and first["started"] and first["reason"] == ""
    assert document("again") == {**first, "started": False}
    assert document("rebooted")["pid"] != document("running")["pid"]
    assert document("removed") == {"removed": True, "service": True, "left": []}
    assert (tmp_path / "units.txt").read_text() == (tmp_path / "files.txt").read_text() == ""


def test_without_systemd_the_reason_is_given_and_nothing_is_changed(
    agent: Any, work: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "PATH": str(tmp_path), "HOME": str(tmp_path / "home")}
    if agent.runner and agent.kind == "native":
        environment["PATH"] = os.environ["PATH"]  # the emulator's own
    done = subprocess.run(
        agent.argv("service", work), env=environment, capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout)
    assert (told["service"], told["started"], told["lingering"]) == (None, False, None)
    assert told["reason"]
    assert not (tmp_path / "home").exists()
