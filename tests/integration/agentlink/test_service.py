"""The daemon as a systemd user unit, on a real systemd: in namespaces of its own, as root on Linux."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

import systemd_user
from conftest import environment

# $3 python, $4 work folder.
SCENE = r"""
edgeflow() { "$python" -m edgeflow.cli.main --quiet --json "$@"; }
python=$3
boot
edgeflow agent start -d board --service > first.json
edgeflow agent start -d board --service > again.json
shut_down
edgeflow agent status -d board > off.json
boot
until systemctl --user -q is-active 'edgeflow-agent-*'; do sleep 0.05; done
edgeflow agent status -d board > rebooted.json
edgeflow agent uninstall -d board > removed.json
systemctl --user list-units --all --no-legend 'edgeflow*' > units.txt
find "$HOME" -name '*edgeflow*' > files.txt
[ ! -e "$4" ]
shut_down
"""


def test_the_service_comes_back_after_a_reboot_and_goes_without_a_trace(home: Path, tmp_path: Path) -> None:
    # Every character that systemd reads as something else stands in the path.
    work = tmp_path / 'wo rk%n$HOME"x'
    (tmp_path / "devices.yaml").write_text(
        json.dumps({"devices": {"board": {"transport": "local", "work_dir": str(work)}}})
    )
    systemd_user.play(SCENE, tmp_path, sys.executable, str(work), environment=environment(home))
    first, again, off, rebooted, removed = (
        _document(tmp_path, name) for name in ("first", "again", "off", "rebooted", "removed")
    )
    assert first["running"] and first["service"].startswith("edgeflow-agent-")
    assert again["already"] and again["pid"] == first["pid"]
    assert not off["running"]
    assert rebooted["running"] and rebooted["pid"] != first["pid"]
    assert removed["removed"] and removed["service"]
    assert (tmp_path / "units.txt").read_text() == ""
    assert (tmp_path / "files.txt").read_text() == ""


def _document(folder: Path, name: str) -> dict[str, Any]:
    with contextlib.suppress(json.JSONDecodeError):
        parsed: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
        return parsed
    pytest.fail(f"{name}: {(folder / f'{name}.json').read_text()!r}")
