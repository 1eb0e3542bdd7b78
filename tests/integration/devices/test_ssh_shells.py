"""Devices whose login shell is odd: fish, csh, one that prints, one that runs nothing, no SFTP server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pytest

from edgeflow.config.devices import DeviceSpec
from edgeflow.devices.device import open_device
from edgeflow.devices.transports import open_transport
from edgeflow.devices.transports.base import Transport
from edgeflow.errors import DeviceError
from sshd import MISSING, SSHD, gone, running_sshd

pytestmark = pytest.mark.skipif(SSHD is None, reason=MISSING)

NOISE = "echo 'Welcome to the lab!  EDGF'; printf 'no newline at the end'; echo 'warning: quota' >&2\n"
DATA = bytes(range(256)) * 4096


@contextmanager
def device_with(
    folder: Path, monkeypatch: pytest.MonkeyPatch, login: str = "", settings: tuple[str, ...] = ()
) -> Iterator[Transport]:
    """A transport to an sshd that gives every command to a script in place of the user's login shell."""
    if login:
        script = folder / "login"
        script.write_text(f"#!/bin/sh\n{login}")
        script.chmod(0o755)
        settings = (f"ForceCommand {script}", *settings)
    with running_sshd(folder / "sshd", settings=settings) as server:
        monkeypatch.setenv("HOME", str(server.home))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        transport = open_transport(DeviceSpec.model_validate({"name": "pi", **server.entry()}))
        try:
            yield transport
        finally:
            transport.close()


@pytest.mark.parametrize("shell", ["bash", "fish", "tcsh"])
def test_a_noisy_login_shell_of_any_kind_spoils_nothing(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} on this machine")
    login = f'{NOISE}exec {program} -c "$SSH_ORIGINAL_COMMAND"\n'
    with device_with(tmp_path, monkeypatch, login) as transport:
        done = transport.run(
            ["sh", "-c", 'cat; echo "$1" >&2; exit 3', "sh", "it's !\n"], timeout_s=20, stdin=DATA
        )
        assert (done.exit_code, done.stdout, done.stderr) == (3, DATA, b"it's !\n\n")
        with transport.open_channel(["cat"]) as channel:
            channel.write(b"EDGF\0", timeout_s=10)
            assert channel.read(100, timeout_s=10) == b"EDGF\0"
            assert channel.stderr_tail() == ""
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_bytes(DATA)
        transport.push(source, PurePosixPath(target))
        assert target.read_bytes() == DATA
        transport.pull(PurePosixPath(target), tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == DATA


def test_a_banner_and_a_server_without_the_subsystem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "banner").write_text("AUTHORIZED USE ONLY\n" * 40)
    settings = (f"Banner {tmp_path}/banner", "Subsystem other /bin/true")
    with device_with(tmp_path, monkeypatch, settings=settings) as transport:
        assert transport.run(["echo", "clean"], timeout_s=10).stdout == b"clean\n"
        (tmp_path / "source").write_bytes(DATA)
        transport.push(tmp_path / "source", PurePosixPath(tmp_path / "target"))
        assert (tmp_path / "target").read_bytes() == DATA


def test_no_sftp_server_at_all_is_told_and_commands_still_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Neither the subsystem nor any of the programs that could take its place.
    login = """\
case "$SSH_ORIGINAL_COMMAND" in *sftp-server) exit 127;; esac
exec sh -c "$(printf %s "$SSH_ORIGINAL_COMMAND" | sed s/sftp-server/no-such-server/g)"
"""
    with device_with(tmp_path, monkeypatch, login) as transport:
        (tmp_path / "source").write_bytes(DATA)
        with pytest.raises(DeviceError, match="pi: it has no SFTP server") as caught:
            transport.push(tmp_path / "source", PurePosixPath(tmp_path / "target"))
        assert "openssh-sftp-server" in caught.value.hint
        assert transport.run(["echo", "on"], timeout_s=10).stdout == b"on\n"


def test_a_user_without_a_login_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        device_with(tmp_path, monkeypatch, "echo This account is not available.; exit 1\n") as transport,
        pytest.raises(
            DeviceError, match=r"pi: the login shell ran no command: This account is not"
        ) as caught,
    ):
        transport.run(["true"], timeout_s=10)
    assert "chsh" in caught.value.hint


def test_killing_behind_a_wrapper_that_stays_ends_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with device_with(tmp_path, monkeypatch, 'sh -c "$SSH_ORIGINAL_COMMAND"\nexit $?\n') as transport:
        channel = transport.open_channel(["sh", "-c", "sleep 600 & echo $!; wait"])
        child = int(channel.read(100, timeout_s=10))
        channel.kill()
        channel.close()
        assert gone(child)
        assert transport.run(["echo", "on"], timeout_s=10).stdout == b"on\n"


def test_facts_of_a_device_whose_home_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = f'HOME=/proc; export HOME\n{NOISE}exec sh -c "$SSH_ORIGINAL_COMMAND"\n'
    script = tmp_path / "login"
    script.write_text(f"#!/bin/sh\n{login}")
    script.chmod(0o755)
    with running_sshd(tmp_path / "sshd", settings=[f"ForceCommand {script}"]) as server:
        monkeypatch.setenv("HOME", str(server.home))
        spec = DeviceSpec.model_validate({"name": "pi", **server.entry()})
        with open_device(spec, tmp_path / "unused") as device:
            assert device.work_dir == PurePosixPath("/proc/.edgeflow")
            assert device.facts.root == (os.getuid() == 0)
            (tmp_path / "model").write_text("x")
            with pytest.raises(DeviceError, match=r"pi: cannot create folder /proc/\.edgeflow") as caught:
                device.transport.push(tmp_path / "model", device.work_dir / "model")
            assert "work_dir" in caught.value.hint
