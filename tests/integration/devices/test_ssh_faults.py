"""When the link or the device's disk fails: nothing hangs, nothing is half there, and a push goes on."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from edgeflow.config.devices import DeviceSpec
from edgeflow.devices.transports import open_transport, ssh_link
from edgeflow.devices.transports.ssh import SshTransport
from edgeflow.devices.transports.ssh_channel import LINK_LOST_EXIT
from edgeflow.devices.transports.ssh_link import LinkLost
from edgeflow.errors import DeviceError
from sshd import MISSING, SSHD, Relay, Sshd, running_sshd

pytestmark = pytest.mark.skipif(SSHD is None, reason=MISSING)

SIZE_BYTES = 24 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def relay(server: Sshd) -> Iterator[Relay]:
    running = Relay(server.port)
    yield running
    running.stop()


@pytest.fixture
def transport(server: Sshd, relay: Relay, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshTransport]:
    monkeypatch.setenv("HOME", str(server.home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    known = f"[127.0.0.1]:{relay.port} {server.host_key()}\n"
    (server.ssh_dir / "known_hosts").write_text(known)
    opened = SshTransport(DeviceSpec.model_validate({"name": "pi", **server.entry(port=relay.port)}))
    yield opened
    opened.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    path.write_bytes(os.urandom(SIZE_BYTES))
    return path


def lose_in_push(transport: SshTransport, relay: Relay, source: Path, target: Path) -> Path:
    """Cuts the link in a push; returns the part that is left."""
    transport.mkdir(PurePosixPath(target.parent))
    relay.cut_after(SIZE_BYTES // 2)
    with pytest.raises(LinkLost, match="pi: the link was lost while"):
        transport.push(source, PurePosixPath(target))
    (part,) = target.parent.iterdir()
    assert part != target
    return part


def test_a_link_that_falls_silent_is_lost_for_all_who_wait_and_made_anew(
    transport: SshTransport, relay: Relay
) -> None:
    channel = transport.open_channel(["cat"])
    failures: list[BaseException] = []

    def run() -> None:
        try:
            transport.run(["sleep", "60"], timeout_s=60)
        except BaseException as error:
            failures.append(error)

    waiting = threading.Thread(target=run)
    waiting.start()
    relay.freeze()
    with pytest.raises(LinkLost, match="lost while reading from cat: nothing was heard") as lost:
        channel.read(10, timeout_s=60)
    assert "connects anew" in lost.value.hint
    waiting.join(10)
    assert [type(each) for each in failures] == [LinkLost]
    with pytest.raises(LinkLost):
        channel.write(b"x", timeout_s=5)
    assert channel.close() == LINK_LOST_EXIT
    relay.thaw()
    assert transport.run(["echo", "again"], timeout_s=20).text == "again\n"
    assert relay.connections == 2


def test_a_push_into_a_frozen_link_does_not_hang(
    transport: SshTransport, relay: Relay, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_link, "DEAD_AFTER_S", 4.0)  # the real one is waited for above

    def freeze(done: int, total: int) -> None:
        if done > total // 4:
            relay.freeze()

    target = source.with_name("device") / "model"
    with pytest.raises(LinkLost, match="nothing was heard"):
        transport.push(source, PurePosixPath(target), progress=freeze)
    relay.cut()
    transport.push(source, PurePosixPath(target))
    assert target.read_bytes() == source.read_bytes()


def test_one_connection_serves_everything(transport: SshTransport, relay: Relay, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with transport.open_channel(["cat"]):
        transport.run(["true"], timeout_s=10)
        transport.push(tmp_path / "file", PurePosixPath(tmp_path / "a" / "b"))
        transport.file_size(PurePosixPath(tmp_path / "a" / "b"))
    assert relay.connections == 1


def test_a_cut_link_ends_the_process_s_input_and_the_next_operation_connects_anew(
    transport: SshTransport, relay: Relay, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "ended")
    channel = transport.open_channel(["sh", "-c", f"cat; echo over > '{tmp_path}/ended'"])
    channel.write(b"ready", timeout_s=10)
    assert channel.read(10, timeout_s=20) == b"ready"  # it runs: before that, a cut can end it by SIGPIPE
    relay.cut()
    with pytest.raises(LinkLost, match="while reading from sh"):
        channel.read(10, timeout_s=20)
    assert (tmp_path / "ended").read_text() == "over\n"
    assert transport.run(["echo", "again"], timeout_s=20).text == "again\n"
    assert relay.connections == 2


def test_a_push_goes_on_where_the_link_was_lost(
    transport: SshTransport, relay: Relay, source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "device" / "model"
    part = lose_in_push(transport, relay, source, target)
    arrived_bytes = part.stat().st_size
    assert arrived_bytes > SIZE_BYTES // 4
    before = relay.forwarded_bytes
    steps: list[int] = []
    transport.push(source, PurePosixPath(target), progress=lambda done, total: steps.append(done))
    assert target.read_bytes() == source.read_bytes()
    assert list(target.parent.iterdir()) == [target]
    assert steps[0] > arrived_bytes
    assert relay.forwarded_bytes - before < SIZE_BYTES - arrived_bytes + (1 << 20)


def test_a_part_that_is_not_what_was_sent_is_not_gone_on_with(
    transport: SshTransport, relay: Relay, source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "device" / "model"
    part = lose_in_push(transport, relay, source, target)
    with part.open("r+b") as file:
        file.seek(1 << 20)
        file.write(b"a block that never reached the disk")
    transport.push(source, PurePosixPath(target))
    assert target.read_bytes() == source.read_bytes()


def test_another_content_does_not_take_up_the_part(
    transport: SshTransport, relay: Relay, source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "device" / "model"
    lose_in_push(transport, relay, source, target)
    source.write_bytes(os.urandom(SIZE_BYTES // 2))
    transport.push(source, PurePosixPath(target))
    assert target.read_bytes() == source.read_bytes()


def test_two_hosts_that_push_the_same_file_at_once(
    transport: SshTransport, server: Sshd, relay: Relay, source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "device" / "model"
    other = SshTransport(DeviceSpec.model_validate({"name": "pi", **server.entry(port=relay.port)}))
    started, errors = threading.Event(), []

    def push_too() -> None:
        started.wait(20)
        try:
            other.push(source, PurePosixPath(target))
        except DeviceError as error:
            errors.append(error.message)

    second = threading.Thread(target=push_too)
    second.start()
    try:
        transport.push(source, PurePosixPath(target), progress=lambda done, total: started.set())
    finally:
        started.set()
        second.join(60)
        other.close()
    assert errors == []
    assert target.read_bytes() == source.read_bytes()
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.skipif(os.getuid() != 0, reason="mounts small and read-only disks: needs root")
def test_full_and_read_only_disks_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full, read_only = tmp_path / "full", tmp_path / "ro"
    full.mkdir()
    read_only.mkdir()
    mounts = f"mount -t tmpfs -o size=2m none {full} && mount -t tmpfs -o ro none {read_only}"
    wrapper = ["unshare", "-m", "sh", "-c", f'{mounts} && exec "$@"', "sh"]
    (tmp_path / "big").write_bytes(bytes(6 << 20))
    (tmp_path / "small").write_bytes(bytes(3 << 20))
    with running_sshd(tmp_path / "sshd", wrapper=wrapper) as server:
        monkeypatch.setenv("HOME", str(server.home))
        transport = open_transport(DeviceSpec.model_validate({"name": "pi", **server.entry()}))
        try:
            for name in ("big", "small"):
                with pytest.raises(DeviceError) as caught:
                    transport.push(tmp_path / name, PurePosixPath(full / "model"))
                assert caught.value.message == f"pi: cannot write {full}/model: no space left"
                assert "free some space" in caught.value.hint
                assert transport.run(["ls", "-A", str(full)], timeout_s=10).stdout == b""
            with pytest.raises(DeviceError, match=r"cannot write .*/ro/model: read-only file system"):
                transport.push(tmp_path / "small", PurePosixPath(read_only / "model"))
            with pytest.raises(DeviceError, match=r"cannot create folder .*/ro/a: read-only file system"):
                transport.push(tmp_path / "small", PurePosixPath(read_only / "a" / "model"))
        finally:
            transport.close()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_of_somebody_else(transport: SshTransport, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DeviceError, match="cannot write /model: permission denied") as caught:
        transport.push(tmp_path / "file", PurePosixPath("/model"))
    assert "work_dir" in caught.value.hint
