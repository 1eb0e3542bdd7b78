"""`edgeflow devices check`, the real command line, on lab devices that are broken each in its own way."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from conftest import run_edgeflow
from edgeflow.devices.transports import open_transport
from edgeflow.devices.transports.adb import AdbTransport
from edgeflow.devices.transports.base import Transport
from edgeflow.lab import lab as labs
from edgeflow.lab.namespaces import guest_path
from edgeflow.lab.network import set_link
from edgeflow.progress import Silent
from sshd import make_key

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = pytest.mark.lab

LOCKED = "lab-pixel7-locked"
Check = Callable[..., str]


@pytest.fixture
def check(lab: Lab, tmp_path: Path) -> Check:
    """Checks one device of the lab, its entry changed. Returns what is wrong, and the cure after a bar."""

    def run(name: str, **changes: Any) -> str:
        entry = yaml.safe_load((lab.home / "lab/devices.yaml").read_text())["devices"][name] | changes
        entry = {key: value for key, value in entry.items() if value is not None}
        (tmp_path / "devices.yaml").write_text(yaml.safe_dump({"devices": {name: entry}}))
        done = run_edgeflow(tmp_path / "home", tmp_path, "devices", "check", name, "--json", timeout_s=60)
        assert done.code == 3, done.out + done.err
        assert "Traceback" not in done.err
        (report,) = done.document["devices"]
        assert (report["name"], report["state"]) == (name, "problem")
        assert "\n" not in report["what"] + report["fix"]
        return f"{report['what']} | {report['fix']}"

    return run


@pytest.fixture
def unplugged(lab: Lab) -> Iterator[Callable[[str], None]]:
    """Pulls a device's cable; it is back in afterwards."""
    pulled: list[str] = []

    def pull(name: str) -> None:
        pulled.append(name)
        set_link(lab.guest(name), up=False)

    yield pull
    for name in pulled:
        set_link(lab.guest(name), up=True)


@pytest.fixture
def leave_free(lab: Lab) -> Iterator[Callable[[str, str, int], None]]:
    """Fills a device's disk but for so many bytes; the file is gone afterwards."""
    filled: list[tuple[Transport, str]] = []

    def fill(name: str, folder: str, rest_bytes: int) -> None:
        transport = open_transport(lab.spec(name))
        filler = f"{folder}/filler"
        filled.append((transport, filler))
        free_kib = int(transport.run(["df", "-Pk", folder], timeout_s=20).text.splitlines()[1].split()[3])
        size = str((free_kib << 10) - rest_bytes)
        transport.run(["fallocate", "-l", size, filler], timeout_s=60).require_success("fallocate")

    yield fill
    for transport, filler in filled:
        transport.run(["rm", "-f", filler], timeout_s=60).require_success("rm")
        transport.close()


def test_unauthorized(lab: Lab, check: Check) -> None:
    spec = lab.spec(LOCKED)
    guest_path(lab.guest(LOCKED), "/data/misc/adb/adb_keys").write_text("")
    if str(spec.address) in lab.adb("devices"):
        lab.adb("disconnect", str(spec.address))
    line = check(LOCKED)
    assert f"{spec.address} is unauthorized: " in line
    assert "unlock it and accept 'Allow USB debugging?'" in line


def test_offline(lab: Lab, check: Check) -> None:
    """A phone that ended with its connection open: adb goes on listing it, as offline."""
    address = str(lab.spec(LOCKED).address)
    lab.adb("connect", address)
    os.kill(lab.guest(LOCKED).pid, signal.SIGKILL)
    try:
        deadline = time.monotonic() + 30
        while f"{address}\toffline" not in lab.adb("devices"):
            assert time.monotonic() < deadline, lab.adb("devices")
        line = check(LOCKED, address=None, serial=address)
        assert f"{address} is offline: " in line
        assert "adb reconnect offline" in line
    finally:
        lab.adb("disconnect", address)
        labs.up([LOCKED], lab.home, Silent())


def test_no_space_on_a_phone(
    lab: Lab, phone: AdbTransport, check: Check, leave_free: Callable[[str, str, int], None]
) -> None:
    leave_free("lab-pixel7", "/data/local/tmp", 0)
    line = check("lab-pixel7")
    assert ": no space left" in line and "cannot write /data/local/tmp/edgeflow/.check-" in line
    assert "free some space there, or set another work_dir" in line


def test_too_little_space_over_ssh(
    lab: Lab, check: Check, leave_free: Callable[[str, str, int], None]
) -> None:
    leave_free("lab-arm64", "/home/edge", 50 << 20)
    line = check("lab-arm64")
    assert "MiB free for /home/edge/.edgeflow" in line
    assert "free 100 MiB there, or set `work_dir:` of lab-arm64 in devices.yaml" in line


def test_no_route_by_adb_and_by_ssh(
    lab: Lab, phone: AdbTransport, check: Check, unplugged: Callable[[str], None]
) -> None:
    lab.adb("disconnect", str(lab.spec("lab-pixel7").address))
    for name, cure in (("lab-pixel7", "in the same network as this computer"), ("lab-arm64", "ProxyJump")):
        unplugged(name)
        line = check(name)
        assert "no route to it" in line
        assert cure in line


def test_a_key_that_the_device_does_not_know(lab: Lab, check: Check, tmp_path: Path) -> None:
    key = make_key(tmp_path / "stranger")
    line = check("lab-arm64", key=str(key))
    assert f"refused to log us in: tried {key}" in line
    assert f"ssh-copy-id edge@{lab.guest('lab-arm64').address}" in line


def test_a_host_key_that_changed_is_another_thing(lab: Lab, check: Check, tmp_path: Path) -> None:
    address = lab.guest("lab-arm64").address
    other = " ".join(make_key(tmp_path / "other").with_suffix(".pub").read_text().split()[:2])
    known = tmp_path / "known_hosts"
    known.write_text(f"# a comment\n{address} {other}\n")
    line = check("lab-arm64", known_hosts=str(known))
    assert f"the host key of {address} changed" in line
    assert f"{known}:2 has ssh-ed25519 SHA256:" in line
    assert f"ssh-keygen -f {known} -R '{address}'" in line


def test_a_host_key_that_is_not_known_is_a_third(lab: Lab, check: Check, tmp_path: Path) -> None:
    line = check("lab-arm64", known_hosts=str(tmp_path / "nobody"))
    assert "is not known: ssh-ed25519 SHA256:" in line
    assert "ssh-keyscan" in line
