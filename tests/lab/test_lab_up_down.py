"""`edgeflow lab`: what comes up answers, what goes down is gone, and what is missing is said."""

from __future__ import annotations

import json
import os
import platform
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from edgeflow.cli import lab as lab_cli
from edgeflow.cli.context import GlobalOptions
from edgeflow.config.devices import load_fleet
from edgeflow.devices.transports.adb import AdbTransport
from edgeflow.devices.transports.adb_server import AdbServer
from edgeflow.errors import ToolMissingError, UsageError
from edgeflow.lab import lab as labs
from edgeflow.lab.adbd_patch import require_keys
from edgeflow.lab.namespaces import guest_path
from edgeflow.lab.sensors import BATTERY
from edgeflow.progress import Silent

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = pytest.mark.lab


def states(document: dict[str, Any]) -> dict[str, str]:
    return {device["name"]: device["state"] for device in document["devices"]}


def end(pid: int) -> None:
    """Kills the init of a device and waits until it is gone, and with it all that ran there."""
    handle = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert select.select([handle], [], [], 10)[0]
    os.close(handle)


def gone(pid: int) -> bool:
    path = Path(f"/proc/{pid}/stat")
    try:
        return path.read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_the_usual_devices_are_up_and_in_the_devices_file(lab: Lab) -> None:
    found = states(labs.status(lab.home))
    up = {"lab-pixel7", "lab-pixel7-locked", "lab-arm64"}
    assert {name for name, state in found.items() if state == "up"} == up
    assert set(found) - up == {"lab-armhf", "lab-phone-vm", "lab-arm64-vm", "lab-pi3"}
    fleet = load_fleet(lab.home / "lab/devices.yaml", lab.home, lab.home)
    assert sorted(fleet.devices) == ["lab-arm64", "lab-pixel7", "lab-pixel7-locked", "local"]
    assert fleet.get("lab-arm64").key == lab.home / "lab/keys/id_ed25519"
    known = (lab.home / "lab/known_hosts").read_text()
    assert known.startswith(f"{lab.guest('lab-arm64').address} ssh-ed25519 ")


def test_up_twice_starts_nothing_twice(lab: Lab) -> None:
    before = lab.guest("lab-arm64")
    labs.up(["lab-arm64"], lab.home, Silent())
    assert lab.guest("lab-arm64") == before


def test_down_leaves_no_process_no_link_and_no_entry_and_up_is_quick_again(lab: Lab) -> None:
    before = lab.guest("lab-arm64")
    document = labs.down(["lab-arm64"], lab.home)
    assert states(document)["lab-arm64"] == "down"
    assert gone(before.pid)
    assert not Path("/sys/class/net", before.link).exists()
    assert "lab-arm64" not in load_fleet(lab.home / "lab/devices.yaml", lab.home, lab.home).devices
    labs.down(["lab-arm64"], lab.home)
    assert states(labs.up(["lab-arm64"], lab.home, Silent()))["lab-arm64"] == "up"


def test_adb_does_not_list_a_phone_that_is_down(lab: Lab) -> None:
    guest = lab.guest("lab-pixel7-locked")
    address = f"{guest.address}:{guest.port}"
    server = AdbServer.of_environment()
    server.start()
    server.connect(guest.name, address)
    assert address in {phone.serial for phone in server.devices()}
    labs.down([guest.name], lab.home)
    try:
        assert address not in {phone.serial for phone in server.devices()}
    finally:
        labs.up([guest.name], lab.home, Silent())


def test_a_device_that_ended_by_itself_is_told_and_started_again(lab: Lab) -> None:
    guest = lab.guest("lab-arm64")
    end(guest.pid)
    assert states(labs.status(lab.home))["lab-arm64"] == "ended"
    assert states(labs.up(["lab-arm64"], lab.home, Silent()))["lab-arm64"] == "up"


def test_a_guest_sees_nothing_of_this_machine(lab: Lab) -> None:
    guest = lab.guest("lab-arm64")
    mounts = Path(f"/proc/{guest.pid}/mountinfo").read_text()
    assert str(lab.home) not in " ".join(line.split()[4] for line in mounts.splitlines())
    assert Path(f"/proc/{guest.pid}/ns/user").readlink() != Path("/proc/self/ns/user").readlink()


def test_sensors_can_be_set_while_the_device_runs(lab: Lab) -> None:
    phone = AdbTransport("lab-pixel7", address=lab.spec("lab-pixel7").address)
    current = f"{BATTERY}/current_now"
    file = guest_path(lab.guest("lab-pixel7"), current)
    before = file.read_text()
    try:
        file.write_text("-750000\n")
        assert phone.run(["cat", current], timeout_s=10).text == "-750000\n"
    finally:
        file.write_text(before)


def test_the_machines_own_emulation_is_left_alone(lab: Lab) -> None:
    folder = Path("/proc/sys/fs/binfmt_misc")
    assert not [path.name for path in folder.iterdir() if path.name in ("qemu-aarch64-lab", "edge-aarch64")]


def test_unknown_devices_are_named(lab: Lab) -> None:
    with pytest.raises(UsageError, match="did you mean 'lab-pixel7'"):
        labs.up(["lab-pixel8"], lab.home, Silent())


def test_what_is_missing_is_said_with_its_command(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(ToolMissingError, match="the lab needs root") as caught:
            labs.up([], tmp_path, Silent())
        assert "sudo" in caught.value.hint
    script = "from edgeflow.lab.requirements import require_machine; require_machine()"
    limited = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", sys.executable, "-c", script]
    done = subprocess.run(limited, capture_output=True, text=True, timeout=60, check=False)
    assert "the lab needs CAP_NET_ADMIN, which root lacks in this container" in done.stderr
    with monkeypatch.context() as patch:
        patch.setattr(platform, "release", lambda: "6.1.0-13-amd64")
        with pytest.raises(ToolMissingError, match=r"needs Linux 6\.7 or newer; this is 6\.1\.0"):
            labs.up([], tmp_path, Silent())
    with monkeypatch.context() as patch:
        tools = tmp_path / "bin"
        tools.mkdir()
        (tools / "ip").symlink_to(str(shutil.which("ip")))
        patch.setenv("PATH", str(tools))
        with pytest.raises(ToolMissingError, match="needs mmdebstrap") as caught:
            labs.up([], tmp_path, Silent())
        assert caught.value.hint.startswith("apt install mmdebstrap")
        with pytest.raises(ToolMissingError, match="needs qemu-system-aarch64, qemu-img") as caught:
            labs.up(["lab-pi3"], tmp_path, Silent())
        for package in ("qemu-system-arm", "qemu-utils", "mmdebstrap", "e2fsprogs"):
            assert package in caught.value.hint.split()
    assert states(labs.status(tmp_path)) == dict.fromkeys(states(labs.status(lab.home)), "down")


def test_the_command_line_tells_what_runs(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEFLOW_HOME", str(lab.home))
    done = CliRunner().invoke(lab_cli.app, ["status"], obj=GlobalOptions(as_json=True))
    assert done.exit_code == 0
    assert states(json.loads(done.stdout))["lab-pixel7"] == "up"
    done = CliRunner().invoke(lab_cli.app, ["status"], obj=GlobalOptions())
    assert "lab-pixel7-locked  up" in done.stdout


def test_an_adbd_that_is_another_is_refused() -> None:
    with pytest.raises(ValueError, match="not a 64-bit ELF"):
        require_keys(b"#!/bin/sh\n" * 100)
