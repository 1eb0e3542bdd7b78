"""The user's OpenSSH configuration under devices.yaml, read as ssh itself reads it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from edgeflow.config.devices import DeviceSpec
from edgeflow.devices.transports.ssh_target import SshTarget, resolve_target
from edgeflow.errors import UsageError


@pytest.fixture
def ssh_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    return tmp_path / ".ssh"


def target(address: str, **extra: object) -> SshTarget:
    return resolve_target(DeviceSpec(name="pi", transport="ssh", address=address, **extra))


def test_without_a_configuration_ssh_s_defaults_hold(ssh_dir: Path) -> None:
    found = target("10.0.0.7", user="pi")
    assert (found.host, found.port, found.user, found.host_id) == ("10.0.0.7", 22, "pi", "10.0.0.7")
    assert [path.name for path in found.identity_files] == ["id_ed25519", "id_ecdsa", "id_rsa"]
    assert not found.explicit_identities
    assert found.known_hosts[0] == ssh_dir / "known_hosts"
    assert found.command_line == "ssh pi@10.0.0.7"


def test_a_host_block_is_obeyed_and_devices_yaml_wins(ssh_dir: Path, tmp_path: Path) -> None:
    (ssh_dir / "config").write_text(
        "Host bench-pi\n HostName 10.0.0.7\n User deploy\n Port 2222\n IdentityFile ~/.ssh/lab\n"
        " IdentitiesOnly yes\n HostKeyAlias the-pi\n UserKnownHostsFile ~/.ssh/lab_hosts\n"
        " ConnectTimeout 4\n ServerAliveInterval 1\n"
        "Host *\n User nobody\n ProxyCommand nc %h %p\n"
    )
    found = target("bench-pi")
    assert (found.host, found.port, found.user, found.host_id) == ("10.0.0.7", 2222, "deploy", "the-pi")
    assert found.identity_files == (ssh_dir / "lab",)
    assert found.identities_only
    assert found.known_hosts[0] == ssh_dir / "lab_hosts"
    assert (found.connect_timeout_s, found.keepalive_s) == (4, 1)
    assert found.proxy_command == "nc 10.0.0.7 2222"

    found = target("bench-pi", user="root", port=22, key=tmp_path / "my key")
    assert (found.port, found.user) == (22, "root")
    assert found.identity_files == (tmp_path / "my key", ssh_dir / "lab")
    assert found.proxy_command == "nc 10.0.0.7 22"


def test_several_jumps_each_with_its_own_settings(ssh_dir: Path) -> None:
    (ssh_dir / "config").write_text(
        "Host inner\n ProxyJump gate,deploy@mid:2200\n"
        "Host gate\n HostName gate.example\n User keeper\n ProxyJump outermost\n"
        "Host mid\n HostName 10.1.0.1\n User wrong\n ProxyJump ignored\n"
    )
    jumps = target("inner").jumps
    assert [(hop.alias, hop.host, hop.port) for hop in jumps] == [
        ("outermost", "outermost", 22),
        ("gate", "gate.example", 22),
        ("mid", "10.1.0.1", 2200),
    ]
    assert [hop.user for hop in jumps[1:]] == ["keeper", "deploy"]


def test_a_circle_of_jumps_is_told(ssh_dir: Path) -> None:
    (ssh_dir / "config").write_text("Host a\n ProxyJump b\nHost b\n ProxyJump a\n")
    with pytest.raises(UsageError, match="a -> b -> a"):
        target("a")


def test_none_switches_proxies_off(ssh_dir: Path) -> None:
    (ssh_dir / "config").write_text("Host pi\n ProxyCommand none\n ProxyJump none\nHost *\n ProxyJump gate\n")
    found = target("pi")
    assert (found.jumps, found.proxy_command) == ((), None)


def test_included_files_count_and_end_no_block(ssh_dir: Path) -> None:
    (ssh_dir / "config.d").mkdir()
    (ssh_dir / "config.d" / "lab").write_text("Host pi\n  HostName 10.0.0.7\n")
    (ssh_dir / "config").write_text("Include config.d/*\nUser everywhere\nHost pi\n Port 2222\n")
    found = target("pi")
    assert (found.host, found.user, found.port) == ("10.0.0.7", "everywhere", 2222)
    assert target("elsewhere").user == "everywhere"


def test_an_include_under_a_condition_is_refused_by_line(ssh_dir: Path) -> None:
    (ssh_dir / "config").write_text("Host pi\n  Include lab\n")
    with pytest.raises(UsageError, match=r"config:2: Include inside 'Host pi'"):
        target("pi")


@pytest.mark.parametrize("text", ["Host pi\n Port many\n", "Match exec\n User x\n", "Host pi\n ???\n"])
def test_what_cannot_be_understood_is_a_usage_error(ssh_dir: Path, text: str) -> None:
    (ssh_dir / "config").write_text(text)
    with pytest.raises(UsageError, match="ssh/config"):
        target("pi")


@pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh")
def test_ssh_reads_the_same_from_the_same_file(ssh_dir: Path) -> None:
    (ssh_dir / "config.d").mkdir()
    (ssh_dir / "config.d" / "lab").write_text("Host p?\n  HostName %h.lab.example\n  Port 2222\n")
    (ssh_dir / "config").write_text(
        f"Include {ssh_dir}/config.d/*\nHost pi !px\n  User = deploy\nHost *\n User x\n"
    )
    words = subprocess.run(
        ["ssh", "-G", "-F", str(ssh_dir / "config"), "pi"], capture_output=True, text=True, check=True
    ).stdout
    expected = dict(line.split(" ", 1) for line in words.splitlines() if " " in line)
    found = target("pi")
    assert found.host == expected["hostname"]
    assert str(found.port) == expected["port"]
    assert found.user == expected["user"]
