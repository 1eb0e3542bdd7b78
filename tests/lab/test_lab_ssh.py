"""The lab's ARM64 Linux through the SSH transport: a real sshd on another architecture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgeflow.devices.device import check_device, open_device
from edgeflow.devices.transports import open_transport
from edgeflow.errors import DeviceError

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = pytest.mark.lab


def test_it_is_usable_and_says_that_it_is_emulated(lab: Lab) -> None:
    spec = lab.spec("lab-arm64")
    assert check_device(spec, lab.home).state == "ok"
    with open_device(spec, lab.home) as device:
        facts = device.facts
    assert (facts.os, facts.arch, facts.abis) == ("linux", "aarch64", ("arm64-v8a",))
    assert facts.python_version is not None
    assert facts.emulated


def test_exit_codes_and_channels(lab: Lab) -> None:
    transport = open_transport(lab.spec("lab-arm64"))
    try:
        assert transport.run(["sh", "-c", "exit 3"], timeout_s=20).exit_code == 3
        channel = transport.open_channel(["cat"])
        channel.write(b"\x00\xffhello", timeout_s=10)
        assert channel.read(64, timeout_s=10) == b"\x00\xffhello"
        assert channel.close() == 0
    finally:
        transport.close()


def test_an_unknown_host_key_is_refused(lab: Lab, tmp_path: Path) -> None:
    spec = lab.spec("lab-arm64").model_copy(update={"known_hosts": tmp_path / "nobody"})
    with pytest.raises(DeviceError, match="host key"):
        open_transport(spec).run(["true"], timeout_s=20)
