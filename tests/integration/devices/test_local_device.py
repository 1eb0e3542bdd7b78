"""This machine as a device: the real probe in the real shells, and what `devices check` says of it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

import pytest

from edgeflow.config.devices import DeviceSpec
from edgeflow.devices.device import check_device, open_device
from edgeflow.devices.facts import parse_probe, work_dir_of
from edgeflow.devices.probe import run_probe
from edgeflow.devices.transports.local import LocalTransport


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_facts_of_this_machine_agree_with_python(home: Path) -> None:
    with open_device(DeviceSpec(name="local", transport="local"), home) as device:
        facts = device.facts
        assert facts.arch == platform.machine()
        assert facts.kernel == platform.release()
        assert facts.python_version == platform.python_version()
        assert facts.root == (os.getuid() == 0)
        assert facts.cores >= 1
        assert sorted(core for cluster in facts.clusters for core in cluster.cores)
        assert facts.memory_bytes == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        free_bytes = shutil.disk_usage(home.parent).free
        assert facts.disk_free_bytes == pytest.approx(free_bytes, abs=1 << 30)
        assert Path(device.work_dir) == home / "device"
        assert not home.exists(), "asking for facts must change nothing"


def test_a_spec_decides_work_folder_and_interpreter(tmp_path: Path, home: Path) -> None:
    spec = DeviceSpec(name="bench", transport="local", work_dir=str(tmp_path / "a b"), python="/no/python")
    with open_device(spec, home) as device:
        assert Path(device.work_dir) == tmp_path / "a b"
        assert device.facts.python_version is None
    report = check_device(spec, home)
    assert (report.state, report.what) == ("problem", "no Python at '/no/python'")
    assert "python:" in report.fix


def test_the_work_folder_may_lie_in_the_login_folder(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with open_device(DeviceSpec(name="local", transport="local", work_dir="~/work"), home) as device:
        assert Path(device.work_dir) == tmp_path / "work"


def test_check_is_ok_here_and_leaves_nothing_in_the_work_folder(home: Path) -> None:
    report = check_device(DeviceSpec(name="local", transport="local"), home)
    assert (report.name, report.state, report.fix) == ("local", "ok", "")
    assert platform.machine() in report.what
    assert list((home / "device").iterdir()) == []


def test_check_names_a_work_folder_that_cannot_be_made(tmp_path: Path, home: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    report = check_device(
        DeviceSpec(name="local", transport="local", work_dir=str(tmp_path / "file" / "work")), home
    )
    assert report.state == "problem"
    assert report.what.startswith("cannot create folder")
    assert "work_dir" in report.fix


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox", "mksh", "zsh", "ksh"])
def test_every_shell_gives_the_same_facts(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} on this machine")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sh").symlink_to(program)
    expected = parse_probe(run_probe(LocalTransport(), work_dir="/", python=sys.executable))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    text = run_probe(LocalTransport(), work_dir=str(tmp_path / "not there"), python=sys.executable)
    found = parse_probe(text)
    changing = {"memory_available_bytes", "disk_free_bytes"}
    same = set(found.__slots__) - changing
    assert {name: getattr(found, name) for name in same} == {name: getattr(expected, name) for name in same}
    assert str(work_dir_of(text)) == str(tmp_path / "not there")
