"""`devices scan`: what ssh and adb know becomes entries, and devices.yaml keeps what it had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeflow.config.devices import load_fleet
from edgeflow.devices.scan import adb_entry, propose, scan_document, ssh_entry
from edgeflow.devices.scan_ssh import ssh_hosts
from edgeflow.devices.transports.adb_wire import parse_devices
from edgeflow.errors import UsageError
from edgeflow.workspace import Workspace

CONFIG = """\
Include extra/*.conf
Host pi4 board
  HostName 10.0.0.4
Host *
  User pi
Host=jetson
  Hostname "jetson.lan"
Host github.com
  User git
"""
KNOWN = """\
# a comment
10.0.0.4 ssh-ed25519 AAAA
[nas.local]:2222,[10.0.0.5]:2222 ssh-ed25519 AAAA
|1|abc=|def= ssh-rsa AAAA
@revoked old ssh-rsa AAAA
rock5.local ssh-ed25519 AAAA
rock5.local ssh-rsa AAAA
"""
DEVICES = """\
# my devices
defaults:
    threads: 2
devices:
    # the old one
    rock5:
        transport: ssh
        address: rock5.local   # in the cellar

# the end
"""


@pytest.fixture
def ssh(tmp_path: Path) -> Path:
    folder = tmp_path / ".ssh"
    (folder / "extra").mkdir(parents=True)
    (folder / "config").write_text(CONFIG)
    (folder / "extra/one.conf").write_text("Host zero2\n  HostName zero2.local\n")
    (folder / "known_hosts").write_text(KNOWN)
    return folder


@pytest.fixture(autouse=True)
def no_adb(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No phone of whoever runs the tests is looked at."""
    monkeypatch.setenv("ADB_SERVER_SOCKET", "localfilesystem:/no/such/socket")
    yield


def test_hosts_of_ssh_once_each_without_patterns_hashes_and_code_hosts(ssh: Path) -> None:
    found = [(host.address, host.port) for host in ssh_hosts(ssh)]
    assert found == [
        ("pi4", ""),
        ("board", ""),
        ("jetson", ""),
        ("zero2", ""),
        ("nas.local", "2222"),
        ("rock5.local", ""),
    ]


def test_a_home_without_ssh(tmp_path: Path) -> None:
    assert ssh_hosts(tmp_path) == []


def test_phones_by_cable_and_network_and_what_they_need_first() -> None:
    listing = (
        "28161FDH2000AB device usb:1-4 product:panther model:Pixel_7 device:panther transport_id:3\n"
        "10.0.0.7:5555 unauthorized transport_id:9\n"
    )
    pixel, locked = map(adb_entry, parse_devices(listing))
    assert (pixel.name, dict(pixel.keys)) == ("pixel-7", {"transport": "adb", "serial": "28161FDH2000AB"})
    assert pixel.problem == ""
    assert dict(locked.keys) == {"transport": "adb", "address": "10.0.0.7:5555"}
    assert "is unauthorized" in locked.problem


def test_names_that_are_taken_get_a_number_and_known_devices_keep_theirs(tmp_path: Path, ssh: Path) -> None:
    (tmp_path / "devices.yaml").write_text(
        "devices:\n  pi4:\n    transport: ssh\n    address: elsewhere\n"
        "  cellar:\n    transport: ssh\n    address: rock5.local\n"
    )
    fleet = load_fleet(None, tmp_path, tmp_path)
    found = {device.keys["address"]: device for device in propose(map(ssh_entry, ssh_hosts(ssh)), fleet)}
    assert (found["pi4"].name, found["pi4"].known_as) == ("pi4-2", "")
    assert (found["rock5.local"].name, found["rock5.local"].known_as) == ("cellar", "cellar")


def test_write_adds_what_is_new_and_keeps_every_line_that_was_there(tmp_path: Path, ssh: Path) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(DEVICES)
    workspace = Workspace(home=tmp_path / "home", cwd=tmp_path)
    first = scan_document(workspace, write=True, ssh_folder=ssh)
    assert first["written"] == ["pi4", "board", "jetson", "zero2", "nas"]
    lines = path.read_text().splitlines()
    assert [line for line in lines if line in DEVICES.splitlines()] == DEVICES.splitlines()
    fleet = load_fleet(None, tmp_path, tmp_path)
    assert (fleet.get("nas").address, fleet.get("nas").port) == ("nas.local", 2222)
    assert scan_document(workspace, write=True, ssh_folder=ssh)["written"] == []
    assert path.read_text().splitlines() == lines


def test_without_write_nothing_is_written_and_a_missing_adb_is_told(tmp_path: Path, ssh: Path) -> None:
    document = scan_document(Workspace(home=tmp_path, cwd=tmp_path), write=False, ssh_folder=ssh)
    assert "phones could not be looked for" in document["notes"][0]
    assert "  pi4:\n    transport: ssh\n" in document["yaml"]
    assert not (tmp_path / "devices.yaml").exists()


def test_a_first_devices_file_is_made(tmp_path: Path, ssh: Path) -> None:
    scan_document(Workspace(home=tmp_path / "home", cwd=tmp_path), write=True, ssh_folder=ssh)
    assert "jetson" in load_fleet(None, tmp_path, tmp_path).devices


def test_a_file_that_cannot_be_added_to_stays_as_it_is(tmp_path: Path, ssh: Path) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text("devices: {a: {transport: local}}\n")
    with pytest.raises(UsageError, match="on a line of its own"):
        scan_document(Workspace(home=tmp_path, cwd=tmp_path), write=True, ssh_folder=ssh)
    assert path.read_text() == "devices: {a: {transport: local}}\n"


def test_an_entry_for_any_phone_is_the_only_phone_that_adb_lists(tmp_path: Path) -> None:
    (tmp_path / "devices.yaml").write_text("devices:\n  pixel7: {transport: adb}\n")
    fleet = load_fleet(None, tmp_path, tmp_path)
    one = "28161FDH2000AB device model:Pixel_7 transport_id:3\n"
    (only,) = propose(map(adb_entry, parse_devices(one)), fleet)
    assert (only.name, only.known_as) == ("pixel7", "pixel7")
    two = one + "R58M device model:SM_G973F transport_id:4\n"
    assert [device.known_as for device in propose(map(adb_entry, parse_devices(two)), fleet)] == ["", ""]
