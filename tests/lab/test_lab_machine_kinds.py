"""The phone and the Raspberry Pi as whole machines: what they say they are, and a power cut."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

from edgeflow.devices.device import check_device, open_device
from edgeflow.devices.transports.adb import AdbTransport
from edgeflow.errors import DeviceError
from edgeflow.lab import lab as labs
from edgeflow.lab.network import set_link
from edgeflow.lab.sensors import BATTERY
from edgeflow.progress import Silent

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

PHONE, PI = "lab-phone-vm", "lab-pi3"
KNOBS = "/sys/module/lab_battery/parameters"
WORK = PurePosixPath("/data/local/tmp/edgeflow")


def test_a_phone_with_a_battery_reboots_and_loses_power_in_a_push(lab: Lab, tmp_path: Path) -> None:
    source = tmp_path / "model"
    source.write_bytes(os.urandom(24 << 20))
    whole = hashlib.sha256(source.read_bytes()).hexdigest()

    def cut(done: int, total: int) -> None:
        if done >= total // 2 and lab.guest(PHONE).running:
            labs.power_cut(PHONE, lab.home)

    with lab.machine(PHONE):
        with open_device(lab.spec(PHONE), lab.home) as device:
            facts = device.facts
        assert (facts.os, facts.model, facts.abis) == ("android", "Phone (lab machine)", ("arm64-v8a",))
        assert facts.emulated
        assert not facts.root
        assert "power_supply:battery" in facts.power_sources
        assert "battery" in facts.thermal_zones.values()

        transport = AdbTransport(PHONE, address=lab.spec(PHONE).address)
        told = f"echo 55 > {KNOBS}/capacity; cat {BATTERY}/capacity"
        assert transport.run(["sh", "-c", told], timeout_s=20).text == "55\n"
        with pytest.raises(DeviceError, match=PHONE):
            transport.push(source, WORK / "model", progress=cut)
        transport.close()
        labs.up([PHONE], lab.home, Silent())

        transport = AdbTransport(PHONE, address=lab.spec(PHONE).address)
        found = transport.run(["sha256sum", str(WORK / "model")], timeout_s=60).text
        assert not found or found.split()[0] == whole
        transport.push(source, WORK / "model")
        transport.run(["sync"], timeout_s=60)
        labs.reboot(PHONE, lab.home, Silent())
        found = transport.run(["sha256sum", str(WORK / "model")], timeout_s=60).text
        assert found.split()[0] == whole
        transport.close()


def test_a_raspberry_pi_3_says_what_it_is_and_its_cable_can_be_pulled(lab: Lab) -> None:
    with lab.machine(PI):
        spec = lab.spec(PI)
        report = check_device(spec, lab.home)
        assert report.state == "ok"
        assert "Raspberry Pi 3 Model B" in report.what
        with open_device(spec, lab.home) as device:
            facts = device.facts
        assert facts.model == "Raspberry Pi 3 Model B"
        assert facts.soc == "brcm,bcm2837"
        assert facts.cores == 4
        assert "cpu-thermal" in facts.thermal_zones.values()
        assert facts.emulated
        set_link(lab.guest(PI), up=False)
        assert check_device(spec, lab.home).state == "problem"
        labs.down([PI], lab.home)
        assert not (lab.home / f"lab/run/{PI}.machine").exists()
