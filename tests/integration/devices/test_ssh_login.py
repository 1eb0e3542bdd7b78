"""Reaching a real sshd: configuration, keys, agent, host keys, hops; each refusal with its cure."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeflow.config.devices import DeviceSpec
from edgeflow.devices.transports import open_transport
from edgeflow.errors import DeviceError, UsageError
from sshd import MISSING, SSHD, Sshd, make_key, running_sshd

pytestmark = pytest.mark.skipif(SSHD is None, reason=MISSING)

RELAY = """
import os, select, socket, sys
far = socket.create_connection((sys.argv[1], int(sys.argv[2])))
ways = {0: far.fileno(), far.fileno(): 1}
while True:
    for source in select.select(list(ways), [], [])[0]:
        data = os.read(source, 65536)
        if not data:
            sys.exit()
        os.write(ways[source], data)
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("sshd"), host_keys=("ed25519", "ecdsa", "rsa")) as running:
        yield running


@pytest.fixture
def server(shared: Sshd, monkeypatch: pytest.MonkeyPatch) -> Sshd:
    """The server, with a fresh home for its client."""
    for name in shared.ssh_dir.iterdir():
        if name.name not in ("id_ed25519", "id_ed25519.pub"):
            name.unlink() if name.is_file() else shutil.rmtree(name)
    know(shared, *(shared.host_key(kind) for kind in ("ed25519", "ecdsa", "rsa")))
    shutil.copy(shared.ssh_dir / "id_ed25519.pub", shared.folder / "authorized_keys")
    monkeypatch.setenv("HOME", str(shared.home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return shared


@pytest.fixture
def agent(server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A real ssh-agent without keys."""
    path = Path(f"/tmp/edgeflow-agent-{os.getpid()}")  # a socket's path must be short
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()  # it prints where it listens once it does
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        yield path
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()
        path.unlink(missing_ok=True)


def know(server: Sshd, *keys: str) -> None:
    lines = [f"[127.0.0.1]:{server.port} {key}\n" for key in keys]
    (server.ssh_dir / "known_hosts").write_text("".join(lines))


def run(**entry: object) -> str:
    transport = open_transport(DeviceSpec.model_validate({"name": "pi", **entry}))
    try:
        return transport.run(["echo", "reached"], timeout_s=20).text.strip()
    finally:
        transport.close()


def failure(**entry: object) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        run(**entry)
    assert caught.value.message.startswith("pi: ")
    assert "\n" not in caught.value.message
    assert "\n" not in caught.value.hint
    return caught.value


class TestKeys:
    def test_the_default_key(self, server: Sshd) -> None:
        assert run(**server.entry()) == "reached"

    @pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
    def test_a_key_of_each_kind_that_devices_yaml_names(
        self, server: Sshd, tmp_path: Path, kind: str
    ) -> None:
        key = make_key(tmp_path / "key", kind=kind)
        shutil.copy(f"{key}.pub", server.folder / "authorized_keys")
        assert run(**server.entry(key=str(key))) == "reached"

    def test_a_wrong_key_is_named_with_the_way_to_bring_it(self, server: Sshd, tmp_path: Path) -> None:
        key = make_key(tmp_path / "stranger")
        (server.folder / "authorized_keys").write_text("")
        error = failure(**server.entry(key=str(key)))
        assert f"refused to log us in: tried {key}" in error.message
        assert f"ssh-copy-id -p {server.port} {server.user}@127.0.0.1" in error.hint

    def test_a_key_that_does_not_exist_is_told(self, server: Sshd, tmp_path: Path) -> None:
        (server.folder / "authorized_keys").write_text("")
        error = failure(**server.entry(key=str(tmp_path / "gone")))
        assert f"{tmp_path}/gone does not exist" in error.message

    def test_no_key_at_all(self, server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / ".ssh").mkdir()
        shutil.copy(server.ssh_dir / "known_hosts", tmp_path / ".ssh")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert "there was no key to try" in failure(**server.entry()).message

    def test_an_encrypted_key_asks_for_ssh_add_and_works_from_the_agent(
        self, server: Sshd, agent: Path, tmp_path: Path
    ) -> None:
        key = make_key(tmp_path / "locked", passphrase="secret")
        shutil.copy(f"{key}.pub", server.folder / "authorized_keys")
        error = failure(**server.entry(key=str(key)))
        assert f"{key} is encrypted and not in the ssh agent" in error.message
        assert error.hint == f"ssh-add {key}"
        unlock = tmp_path / "askpass"
        unlock.write_text("#!/bin/sh\necho secret\n")
        unlock.chmod(0o755)
        environment = {**os.environ, "SSH_ASKPASS": str(unlock), "SSH_ASKPASS_REQUIRE": "force"}
        subprocess.run(["ssh-add", "-q", str(key)], env=environment, check=True, stdin=subprocess.DEVNULL)
        assert run(**server.entry(key=str(key))) == "reached"
        (server.ssh_dir / "config").write_text(f"IdentityFile {key}\nIdentitiesOnly yes\n")
        assert run(**server.entry()) == "reached"

    def test_an_agent_s_key_alone(self, server: Sshd, agent: Path, tmp_path: Path) -> None:
        key = make_key(tmp_path / "in-agent")
        shutil.copy(f"{key}.pub", server.folder / "authorized_keys")
        subprocess.run(["ssh-add", "-q", str(key)], check=True)
        key.unlink()
        assert run(**server.entry()) == "reached"
        (server.ssh_dir / "config").write_text("IdentitiesOnly yes\n")
        assert "in-agent" not in failure(**server.entry()).message

    def test_a_file_that_is_no_key_is_named(self, server: Sshd, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("not a key")
        (server.folder / "authorized_keys").write_text("")
        assert f"{tmp_path}/key is not a key" in failure(**server.entry(key=str(tmp_path / "key"))).message

    def test_a_server_that_takes_passwords_only(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = ["PubkeyAuthentication no", "PasswordAuthentication yes"]
        with running_sshd(tmp_path, settings=settings) as server:
            monkeypatch.setenv("HOME", str(server.home))
            error = failure(**server.entry())
        assert "takes no keys, only password" in error.message
        assert "PubkeyAuthentication yes" in error.hint


class TestHostKeys:
    def test_an_unknown_key_is_refused_with_ways_to_accept_it_that_work(self, server: Sshd) -> None:
        know(server)
        error = failure(**server.entry())
        assert f"the host key of [127.0.0.1]:{server.port} is not known" in error.message
        shown = re.search(r"SHA256:\S+", error.message)
        assert shown is not None
        listed = subprocess.run(
            ["ssh-keygen", "-l", "-f", str(server.folder / "host_ed25519.pub")],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert shown[0] in listed
        assert f"ssh -p {server.port} {server.user}@127.0.0.1" in error.hint
        scan = re.search(r"`(ssh-keyscan [^`]*)`", error.hint)
        assert scan is not None
        subprocess.run(scan[1], shell=True, check=True, capture_output=True)
        assert run(**server.entry()) == "reached"

    def test_a_changed_key_is_refused_naming_file_and_line(self, server: Sshd, tmp_path: Path) -> None:
        stranger = " ".join(Path(f"{make_key(tmp_path / 'k')}.pub").read_text().split()[:2])
        know(server)
        with (server.ssh_dir / "known_hosts").open("a") as file:
            file.write(f"# a comment\n[127.0.0.1]:{server.port} {stranger}\n")
        error = failure(**server.entry())
        assert "changed" in error.message
        assert f"{server.ssh_dir}/known_hosts:2 has ssh-ed25519 SHA256:" in error.message
        assert f"ssh-keygen -f {server.ssh_dir}/known_hosts -R '[127.0.0.1]:{server.port}'" in error.hint
        (server.ssh_dir / "config").write_text("StrictHostKeyChecking no\n")
        assert "changed" in failure(**server.entry()).message

    def test_the_kind_of_key_that_is_known_is_asked_for(self, server: Sshd) -> None:
        for kind in ("rsa", "ecdsa", "ed25519"):
            know(server, server.host_key(kind))
            assert run(**server.entry()) == "reached"

    def test_hashed_entries_and_aliases(self, server: Sshd) -> None:
        subprocess.run(
            ["ssh-keygen", "-q", "-H", "-f", str(server.ssh_dir / "known_hosts")],
            check=True,
            capture_output=True,
        )
        assert "127.0.0.1" not in (server.ssh_dir / "known_hosts").read_text()
        assert run(**server.entry()) == "reached"
        (server.ssh_dir / "known_hosts").write_text(f"the-pi {server.host_key()}\n")
        (server.ssh_dir / "config").write_text("Host 127.0.0.1\n HostKeyAlias the-pi\n")
        assert run(**server.entry()) == "reached"

    def test_no_key_is_offered_to_a_server_that_is_not_trusted(self, server: Sshd) -> None:
        know(server)
        before = server.log.count("publickey")
        failure(**server.entry())
        assert server.log.count("publickey") == before


class TestConfiguration:
    def test_an_alias_gives_everything(self, server: Sshd) -> None:
        (server.ssh_dir / "id_ed25519").rename(server.ssh_dir / "lab")
        try:
            (server.ssh_dir / "config").write_text(
                f"Host bench\n HostName 127.0.0.1\n Port {server.port}\n User {server.user}\n"
                " IdentityFile ~/.ssh/lab\n UserKnownHostsFile ~/.ssh/lab_hosts\n"
            )
            (server.ssh_dir / "known_hosts").rename(server.ssh_dir / "lab_hosts")
            assert run(transport="ssh", address="bench") == "reached"
        finally:
            (server.ssh_dir / "lab").rename(server.ssh_dir / "id_ed25519")

    def test_two_hops(self, server: Sshd) -> None:
        before = server.log.count("Accepted publickey")
        (server.ssh_dir / "config").write_text(
            f"Host inner\n HostName 127.0.0.1\n Port {server.port}\n ProxyJump gate,127.0.0.1:{server.port}\n"
            f"Host gate\n HostName 127.0.0.1\n Port {server.port}\n"
        )
        assert run(transport="ssh", address="inner") == "reached"
        assert server.log.count("Accepted publickey") == before + 3

    def test_a_hop_that_forwards_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with running_sshd(tmp_path, settings=["AllowTcpForwarding no"]) as server:
            monkeypatch.setenv("HOME", str(server.home))
            (server.ssh_dir / "config").write_text(f"Host inner\n ProxyJump 127.0.0.1:{server.port}\n")
            error = failure(transport="ssh", address="inner")
        assert "would not reach inner port 22" in error.message
        assert "AllowTcpForwarding" in error.hint

    def test_a_proxy_command_and_its_end(self, server: Sshd, tmp_path: Path) -> None:
        (tmp_path / "relay.py").write_text(RELAY)
        (server.ssh_dir / "config").write_text(
            f"Host inner\n HostName 127.0.0.1\n Port {server.port}\n"
            f" ProxyCommand python3 {tmp_path}/relay.py %h %p\n"
        )
        assert run(transport="ssh", address="inner") == "reached"
        left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        assert str(tmp_path / "relay.py") not in left

    def test_a_proxy_command_that_fails(self, server: Sshd) -> None:
        (server.ssh_dir / "config").write_text("Host inner\n ProxyCommand exit 1\n")
        assert "ProxyCommand `exit 1`" in failure(transport="ssh", address="inner").message

    def test_a_configuration_that_cannot_be_read_is_a_usage_error(self, server: Sshd) -> None:
        (server.ssh_dir / "config").write_text("Host inner\n Port many\n")
        with pytest.raises(UsageError):
            run(transport="ssh", address="inner")


class TestNobodyThere:
    def test_a_name_that_does_not_resolve(self, server: Sshd) -> None:
        error = failure(transport="ssh", address="no-such-host.invalid")
        assert "no-such-host.invalid does not resolve" in error.message
        assert "address:" in error.hint

    def test_refused(self, server: Sshd) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        error = failure(transport="ssh", address="127.0.0.1", port=port)
        assert f"127.0.0.1 port {port}: the connection was refused" in error.message
        assert "sshd" in error.hint

    def test_no_answer(self, server: Sshd) -> None:
        (server.ssh_dir / "config").write_text("ConnectTimeout 1\n")
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
            # With the queue full, the kernel answers no further connection.
            waiting = [socket.socket() for _ in range(4)]
            try:
                for each in waiting:
                    each.setblocking(False)
                    each.connect_ex(full.getsockname())
                error = failure(transport="ssh", address="127.0.0.1", port=full.getsockname()[1])
            finally:
                for each in waiting:
                    each.close()
        assert "no answer within 1 s" in error.message

    def test_no_route(self, server: Sshd) -> None:
        script = """
from edgeflow.config.devices import DeviceSpec
from edgeflow.devices.device import check_device
from pathlib import Path
report = check_device(DeviceSpec(name="pi", transport="ssh", address="10.9.8.7"), Path("/nowhere"))
print(report.state, report.what, report.fix, sep="|")
"""
        # A network namespace of its own has no route to anywhere.
        argv = ["unshare", "-rn", sys.executable, "-c", script]
        if subprocess.run([*argv[:2], "true"], capture_output=True, check=False).returncode:
            pytest.skip("a network without routes cannot be made here (needs unshare -rn)")
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        state, what, fix = done.stdout.strip().split("|")
        assert (state, what) == ("problem", "10.9.8.7 port 22: no route to its network")
        assert "ProxyJump" in fix

    def test_something_that_is_no_ssh_server(self, server: Sshd) -> None:
        with socket.create_server(("127.0.0.1", 0)) as web:

            def answer() -> None:
                peer, _ = web.accept()
                with peer:
                    peer.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

            threading.Thread(target=answer, daemon=True).start()
            error = failure(transport="ssh", address="127.0.0.1", port=web.getsockname()[1])
        assert "did not speak SSH" in error.message
