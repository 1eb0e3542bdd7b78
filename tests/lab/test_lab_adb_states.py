"""Every state in which a phone cannot be used, and links that break: real ones, each with its cure."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

from edgeflow.devices.device import check_device, open_device
from edgeflow.devices.scan import scan_document
from edgeflow.devices.transports.adb import AdbTransport
from edgeflow.devices.transports.adb_link import LinkLost
from edgeflow.errors import DeviceError
from edgeflow.lab import guests
from edgeflow.lab import lab as labs
from edgeflow.lab.network import set_link
from edgeflow.progress import Silent
from edgeflow.workspace import Workspace

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = pytest.mark.lab

WORK = PurePosixPath("/data/local/tmp/edgeflow")


def refusal(**where: str | None) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        AdbTransport("phone", **where)
    assert caught.value.hint
    return caught.value


class TestStates:
    def test_unauthorized_until_the_phone_says_yes(self, lab: Lab) -> None:
        spec = lab.spec("lab-pixel7-locked")
        report = check_device(spec, lab.home)
        assert report.state == "problem"
        assert "is unauthorized" in report.what
        assert "Allow USB debugging" in report.fix
        labs.authorize("lab-pixel7-locked", lab.home)
        AdbTransport(spec.name, address=spec.address).run(["true"], timeout_s=10).require_success("true")

    def test_several_devices_and_a_wrong_serial(self, lab: Lab, phone: AdbTransport) -> None:
        locked = lab.spec("lab-pixel7-locked").address
        lab.adb("connect", str(locked))
        assert "adb sees several devices: " in refusal().message
        error = refusal(serial="lab-pixel8")
        assert "no device with serial lab-pixel8; adb sees: " in error.message
        assert str(locked) in error.message

    def test_the_only_one(self, lab: Lab, phone: AdbTransport) -> None:
        lab.adb("disconnect")
        assert refusal().message == "phone: adb sees no device"
        lab.adb("connect", str(lab.spec("lab-pixel7").address))
        only = AdbTransport("phone")
        assert only.run(["getprop", "ro.serialno"], timeout_s=10).text == "lab-pixel7\n"

    def test_nothing_listens_and_no_such_host(self, lab: Lab) -> None:
        host = lab.guest("lab-pixel7").address
        assert "connection refused" in refusal(address=f"{host}:5999").message
        assert "does not resolve" in refusal(address="no-such-phone.invalid:5555").message

    def test_no_route(self, lab: Lab, phone: AdbTransport) -> None:
        guest = lab.guest("lab-pixel7")
        lab.adb("disconnect")
        set_link(guest, up=False)
        assert "no route to it" in refusal(address=f"{guest.address}:5555").message

    def test_a_phone_that_was_switched_off_and_on_again(self, lab: Lab) -> None:
        spec = lab.spec("lab-pixel7-locked")
        labs.authorize(spec.name, lab.home)
        transport = AdbTransport(spec.name, address=spec.address)
        guests.end(lab.guest(spec.name))  # and it is gone: `up` must not take it for running
        with pytest.raises(DeviceError, match=spec.name) as caught:
            transport.run(["true"], timeout_s=20)
        assert caught.value.hint
        labs.up([spec.name], lab.home, Silent())
        labs.authorize(spec.name, lab.home)
        new = lab.spec(spec.name)
        again = transport if new.address == spec.address else AdbTransport(spec.name, address=new.address)
        assert again.run(["echo", "back"], timeout_s=20).text == "back\n"


class TestBrokenLinks:
    def test_a_cable_pulled_out_is_noticed_by_all_that_wait_and_heals(
        self, lab: Lab, phone: AdbTransport, tmp_path: Path
    ) -> None:
        """Each call may take 10 s: one that did not notice would end as a time-out instead."""
        guest = lab.guest("lab-pixel7")
        (tmp_path / "big").write_bytes(bytes(64 << 20))
        channel = phone.open_channel(["cat"])

        def cut(done: int, total: int) -> None:
            if done >= 8 << 20:
                set_link(guest, up=False)

        def push() -> None:
            phone.push(tmp_path / "big", WORK / "big", progress=cut)

        def read() -> None:
            channel.read(1, timeout_s=10)

        def run() -> None:
            phone.run(["sleep", "600"], timeout_s=10)

        with ThreadPoolExecutor() as pool:
            waiting = [pool.submit(run), pool.submit(read), pool.submit(push)]
            for future in waiting:
                error = future.exception()
                assert isinstance(error, LinkLost), repr(error)
                assert "lab-pixel7: lost the link to " in error.message
        with pytest.raises(LinkLost):
            channel.close()
        set_link(guest, up=True)
        phone.push(tmp_path / "big", WORK / "big")
        assert phone.file_size(WORK / "big") == 64 << 20
        assert phone.run(["ls", "-A", str(WORK)], timeout_s=10).text.split() == ["big"]

    def test_the_adb_server_is_killed(self, lab: Lab, phone: AdbTransport) -> None:
        channel = phone.open_channel(["cat"])
        lab.adb("kill-server")
        with pytest.raises(LinkLost, match="lab-pixel7: the adb server was stopped while cat ran"):
            channel.read(1, timeout_s=10)
        with pytest.raises(LinkLost):
            channel.close()
        assert phone.run(["echo", "again"], timeout_s=20).text == "again\n"

    def test_a_phone_that_is_disconnected_while_something_runs(self, lab: Lab, phone: AdbTransport) -> None:
        channel = phone.open_channel(["cat"])
        lab.adb("disconnect", str(lab.spec("lab-pixel7").address))
        with pytest.raises(LinkLost, match="disappeared while cat ran"):
            channel.read(1, timeout_s=10)
        with pytest.raises(LinkLost):
            channel.close()
        assert phone.run(["echo", "again"], timeout_s=20).text == "again\n"


class TestDevice:
    def test_facts_say_that_it_is_a_phone_and_emulated(self, lab: Lab, phone: AdbTransport) -> None:
        with open_device(lab.spec("lab-pixel7"), lab.home) as device:
            facts = device.facts
        assert (facts.os, facts.api_level, facts.model) == ("android", 33, "Pixel 7 (lab)")
        assert facts.abis == ("arm64-v8a",)
        assert facts.emulated
        assert "battery" in facts.thermal_zones.values()
        assert facts.power_sources == ("power_supply:battery",)
        assert not facts.root
        assert str(device.work_dir) == "/data/local/tmp/edgeflow"

    def test_scan_proposes_the_phones_and_knows_them_once_written(
        self, lab: Lab, phone: AdbTransport, tmp_path: Path
    ) -> None:
        workspace = Workspace(home=tmp_path / "home", cwd=tmp_path)
        found = scan_document(workspace, write=True, ssh_folder=tmp_path)
        address = lab.spec("lab-pixel7").address
        (name,) = [device["name"] for device in found["devices"] if device["entry"].get("address") == address]
        assert name == "pixel-7-lab"
        again = scan_document(workspace, write=False, ssh_folder=tmp_path)
        assert all(device["known_as"] == device["name"] for device in again["devices"])
