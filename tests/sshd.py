"""The real OpenSSH server on loopback, with keys and a configuration of its own, for tests over SSH.

Needs sshd (Debian: openssh-server). It runs as the user who runs the tests and lets only that user in.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import select
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
MISSING = "no sshd on this machine (Debian: apt install openssh-server)"


@dataclass
class Sshd:
    """A server that runs, and a home folder whose .ssh lets its owner in."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    user: str = field(default_factory=getpass.getuser)

    @property
    def home(self) -> Path:
        """The client's home: .ssh/config, .ssh/known_hosts, .ssh/id_ed25519."""
        return self.folder / "home"

    @property
    def ssh_dir(self) -> Path:
        return self.home / ".ssh"

    @property
    def log(self) -> str:
        return (self.folder / "sshd.log").read_text(errors="replace")

    def host_key(self, kind: str = "ed25519") -> str:
        """The public host key, "type base64"."""
        return " ".join((self.folder / f"host_{kind}.pub").read_text().split()[:2])

    def entry(self, **extra: object) -> dict[str, object]:
        """A devices.yaml entry for it."""
        return {"transport": "ssh", "address": "127.0.0.1", "port": self.port, "user": self.user, **extra}


class Relay:
    """A TCP relay on loopback whose traffic a test can freeze, let go on, or cut."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.flowing = threading.Event()
        self.flowing.set()
        self.forwarded_bytes = 0
        self.connections = 0
        self._cut_after: int | None = None
        self._sockets: list[socket.socket] = []
        self._stopped = False
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        """Nothing goes through any more, and nobody is told: a pulled cable."""
        self.flowing.clear()

    def thaw(self) -> None:
        self.flowing.set()

    def cut(self) -> None:
        """Closes every connection."""
        # Whoever is cut off connects anew at once: that connection is not to be cut as well.
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self.flowing.set()

    def cut_after(self, count: int) -> None:
        """Closes every connection once `count` more bytes went to the server."""
        self._cut_after = self.forwarded_bytes + count

    def stop(self) -> None:
        self._stopped = True
        self.cut()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        while not self._stopped:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            far = socket.create_connection(("127.0.0.1", self._target_port))
            self._sockets += [near, far]
            for source, target in ((near, far), (far, near)):
                threading.Thread(
                    target=self._pump, args=(source, target, source is near), daemon=True
                ).start()

    def _pump(self, source: socket.socket, target: socket.socket, upstream: bool) -> None:
        with contextlib.suppress(OSError), source:
            while data := source.recv(1 << 16):
                self.flowing.wait()
                target.sendall(data)
                if upstream:
                    self.forwarded_bytes += len(data)
                    if self._cut_after is not None and self.forwarded_bytes >= self._cut_after:
                        self._cut_after = None
                        self.cut()
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


def gone(pid: int) -> bool:
    """Whether a process of this machine ends within 10 s; one that nobody has reaped yet is gone as well."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 10)[0])
    finally:
        os.close(descriptor)


def make_key(path: Path, *, kind: str = "ed25519", passphrase: str = "") -> Path:
    """A new key pair at `path` and `path`.pub."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", path.name, "-f", str(path)],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return path


@contextlib.contextmanager
def running_sshd(
    folder: Path,
    *,
    settings: Sequence[str] = (),
    host_keys: Sequence[str] = ("ed25519",),
    wrapper: Sequence[str] = (),
) -> Iterator[Sshd]:
    """An sshd with its client's home; it is gone afterwards, with all of its sessions.

    `settings` are lines of sshd_config; the first one of a keyword wins. `wrapper` is what starts it, such as
    unshare. The client knows its host keys.
    """
    assert SSHD is not None, MISSING
    folder.mkdir(parents=True, exist_ok=True)
    ssh_dir = folder / "home" / ".ssh"
    for kind in host_keys:
        make_key(folder / f"host_{kind}", kind=kind)
    make_key(ssh_dir / "id_ed25519")
    shutil.copy(ssh_dir / "id_ed25519.pub", folder / "authorized_keys")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd's own, which its service would make
    server = None
    for _ in range(5):  # a port that was free may be taken before sshd binds it
        port = _free_port()
        (folder / "sshd_config").write_text(_config(folder, port, settings, host_keys))
        server = _start(folder, port, wrapper)
        if server is not None:
            break
    assert server is not None, (folder / "sshd.log").read_text()
    running = Sshd(folder, port, server)
    lines = [f"[127.0.0.1]:{port} {running.host_key(kind)}\n" for kind in host_keys]
    (ssh_dir / "known_hosts").write_text("".join(lines))
    try:
        yield running
    finally:
        _end_sessions(server.pid)
        server.terminate()
        server.wait(10)


def _config(folder: Path, port: int, settings: Sequence[str], host_keys: Sequence[str]) -> str:
    lines = [
        *settings,
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        *(f"HostKey {folder}/host_{kind}" for kind in host_keys),
        f"AuthorizedKeysFile {folder}/authorized_keys",
        "PidFile none",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin prohibit-password",
        "MaxStartups 100",
        "LogLevel VERBOSE",
    ]
    if not any(line.startswith("Subsystem ") for line in settings):
        lines.append(f"Subsystem sftp {_sftp_server()}")
    return "\n".join([*lines, ""])


def _sftp_server() -> str:
    for name in (
        "/usr/lib/openssh/sftp-server",
        "/usr/libexec/openssh/sftp-server",
        "/usr/libexec/sftp-server",
    ):
        if Path(name).exists():
            return name
    return "internal-sftp"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _start(folder: Path, port: int, wrapper: Sequence[str]) -> subprocess.Popen[bytes] | None:
    """The server once it listens, or None when it ended instead; it writes its log to its stderr."""
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen(
            [*wrapper, str(SSHD), "-D", "-e", "-f", str(folder / "sshd_config")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    while process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
            # Its banner, not only its port: then it serves.
            if select.select([probe], [], [], 5)[0] and probe.recv(4) == b"SSH-":
                return process
    return None


def _end_sessions(pid: int) -> None:
    """Kills the server's session processes, which outlive it otherwise."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    if children.exists():
        for child in children.read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), 15)
