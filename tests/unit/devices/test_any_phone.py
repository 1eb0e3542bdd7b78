"""An entry without serial: it stands for the one phone that is connected, and the user is told which."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from edgeflow.config.devices import DeviceSpec
from edgeflow.devices.device import Device, open_device
from edgeflow.devices.documents import check_document
from edgeflow.devices.transports.adb import AdbTransport
from edgeflow.devices.transports.adb_server import AdbServer
from edgeflow.progress import Silent
from edgeflow.workspace import Workspace


def test_no_phone_is_a_problem_only_when_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AdbServer, "start", lambda self: None)
    monkeypatch.setattr(AdbServer, "devices", lambda self: [])
    (tmp_path / "devices.yaml").write_text(
        "devices:\n  any: {transport: adb}\n  one: {transport: adb, serial: R58M}\n"
    )
    workspace = Workspace(home=tmp_path / "home", cwd=tmp_path)

    def states(*names: str) -> dict[str, str]:
        document = check_document(names, workspace, Silent())
        return {device["name"]: device["state"] for device in document["devices"]}

    assert states() == {"local": "ok", "any": "absent", "one": "problem"}
    assert states("any") == {"any": "problem"}


def test_which_phone_was_taken_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AdbTransport, "_connect", lambda self: setattr(self, "_serial", "10.0.0.7:5555"))
    with open_device(DeviceSpec(name="local", transport="local"), tmp_path) as here:
        facts = here.facts
    told = {}
    for keys in ({}, {"serial": "10.0.0.7:5555"}):
        spec = DeviceSpec(name="pixel7", transport="adb", **keys)
        told[len(keys)] = Device(spec, AdbTransport("pixel7"), facts, PurePosixPath("/data"), "python3").which
    assert told[0] == f"pixel7: the only phone that adb sees, serial 10.0.0.7:5555 ({facts.model})"
    assert told[1] == ""
