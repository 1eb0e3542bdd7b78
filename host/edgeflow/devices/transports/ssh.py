"""The SSH transport: a machine behind the user's own OpenSSH configuration, keys and known hosts."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from edgeflow.devices.transports.base import Completed, DeviceTimeout, ProgressFn
from edgeflow.devices.transports.ssh_channel import LINK_LOST_EXIT, SshChannel
from edgeflow.devices.transports.ssh_connect import connect
from edgeflow.devices.transports.ssh_files import make_folder, pull_file, push_file
from edgeflow.devices.transports.ssh_sftp import NO_SUCH_FILE, NotSftp, Sftp, SftpError
from edgeflow.devices.transports.ssh_target import resolve_target
from edgeflow.errors import DeviceError, UsageError

if TYPE_CHECKING:
    from edgeflow.config.devices import DeviceSpec
    from edgeflow.devices.transports.ssh_link import SshLink

_READ_BYTES = 1 << 18
_STDIN_TIMEOUT_S = 3600.0  # the deadline of the command itself is what counts
# Where distributions put it; used where the server has no such subsystem or a login shell spoils it.
_SFTP_SERVERS = """\
for file in /usr/lib/openssh/sftp-server /usr/libexec/openssh/sftp-server /usr/lib/ssh/sftp-server \
  /usr/libexec/sftp-server /usr/lib/sftp-server /opt/libexec/sftp-server; do
  [ -x "$file" ] && exec "$file"
done
exit 127
"""


class SshTransport:
    """Transport over one SSH connection, made by the first operation and used by all.

    Commands start in `/`, in a process group of their own. A link on which nothing was heard for 9 s though
    it was asked is lost: what waits raises LinkLost, and the next operation connects anew, once.
    Files may be copied by one thread at a time; others wait.
    """

    def __init__(self, spec: DeviceSpec) -> None:
        """Reads the configuration, connects to nothing. Raises UsageError for a bad configuration."""
        self._name = spec.name
        self._target = resolve_target(spec)
        self._current: SshLink | None = None
        self._sftp: Sftp | None = None
        self._channels: list[SshChannel] = []
        self._lock = threading.RLock()

    def run(self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b"") -> Completed:
        command = tuple(argv)
        deadline = time.monotonic() + timeout_s
        try:
            channel, _ = SshChannel.start(self._link(), command, timeout_s=timeout_s, keep_stderr=True)
            with channel:
                return self._complete(channel, command, stdin, deadline)
        except DeviceTimeout as error:
            raise DeviceTimeout(
                f"{self._name}: `{' '.join(command)}` did not end within {timeout_s:g} s",
                hint="see whether the device is busy or hangs",
            ) from error

    def push(self, src: Path, dst: PurePosixPath, *, progress: ProgressFn | None = None) -> None:
        if not src.is_file():
            raise UsageError(f"{src}: no such file, cannot be pushed to {self._name}")
        with self._files() as sftp:
            if not self._is_folder(sftp, dst.parent):
                make_folder(self._run_tool, self._name, dst.parent)
            push_file(sftp, self._run_tool, self._name, src, dst, progress)

    def pull(self, src: PurePosixPath, dst: Path, *, progress: ProgressFn | None = None) -> None:
        with self._files() as sftp:
            pull_file(sftp, self._name, src, dst, progress)

    def file_size(self, path: PurePosixPath) -> int | None:
        with self._files() as sftp:
            try:
                found = sftp.stat(str(path))
            except SftpError as error:
                if error.code == NO_SUCH_FILE:
                    return None
                raise DeviceError(f"{self._name}: cannot look at {path}: {str(error).lower()}") from error
        return found.size_bytes if found.is_file else None

    def mkdir(self, path: PurePosixPath) -> None:
        make_folder(self._run_tool, self._name, path)

    def open_channel(self, argv: Sequence[str]) -> SshChannel:
        channel, found = SshChannel.start(self._link(), argv)
        if not found:
            channel.close()
            raise DeviceError(f"{self._name}: cannot start {argv[0]}: no such program")
        with self._lock:
            self._channels = [known for known in self._channels if not known.closed]
            self._channels.append(channel)
        return channel

    def close(self) -> None:
        with self._lock:
            link, self._current, self._sftp = self._current, None, None
            channels, self._channels = self._channels, []
        try:
            for channel in channels:
                if not channel.closed:
                    channel.kill()
                    channel.close()
        finally:
            if link is not None:
                link.close()

    def _link(self) -> SshLink:
        """The connection, made anew where there is none or the last one broke."""
        with self._lock:
            if self._current is None or not self._current.alive:
                if self._current is not None:
                    self._current.close()
                self._sftp = None
                self._current = connect(self._target, self._name)
            return self._current

    def _complete(
        self, channel: SshChannel, command: tuple[str, ...], stdin: bytes, deadline: float
    ) -> Completed:
        if stdin:
            threading.Thread(target=_feed, args=(channel, stdin), daemon=True).start()
        else:
            channel.end_input()
        output = bytearray()
        while data := channel.read(_READ_BYTES, timeout_s=max(0.0, deadline - time.monotonic())):
            output += data
            if time.monotonic() > deadline:
                raise DeviceTimeout(f"{self._name}: {command[0]} does not stop printing")
        code = channel.wait(timeout_s=max(0.0, deadline - time.monotonic()))
        if code is None:
            raise DeviceTimeout(f"{self._name}: {command[0]} closed its output and did not end")
        if code == LINK_LOST_EXIT and not channel.link_alive:
            raise channel.link_lost(f"running {command[0]}")
        return Completed(command, code, bytes(output), channel.stderr())

    def _run_tool(self, argv: list[str], timeout_s: float) -> Completed:
        return self.run(argv, timeout_s=timeout_s)

    @contextlib.contextmanager
    def _files(self) -> Iterator[Sftp]:
        """The SFTP session, for one thread; not used again after a failure: answers may be under way."""
        with self._lock:
            link = self._link()
            if self._sftp is None:
                self._sftp = self._open_sftp(link)
            try:
                yield self._sftp
            except BaseException:
                broken, self._sftp = self._sftp, None
                if broken is not None:
                    broken.close()
                raise

    def _open_sftp(self, link: SshLink) -> Sftp:
        channel = SshChannel.subsystem(link, "sftp")
        if channel is not None:
            try:
                return Sftp(channel)
            except NotSftp:
                channel.close()
        channel, _ = SshChannel.start(link, ["sh", "-c", _SFTP_SERVERS])
        try:
            return Sftp(channel)
        except NotSftp as error:
            channel.close()
            raise DeviceError(
                f"{self._name}: it has no SFTP server, which copies files",
                hint="install it there (Debian: openssh-sftp-server), or set Subsystem sftp in sshd_config",
            ) from error

    def _is_folder(self, sftp: Sftp, path: PurePosixPath) -> bool:
        try:
            return sftp.stat(str(path)).is_folder
        except SftpError:
            return False  # mkdir tells why, in words


def _feed(channel: SshChannel, data: bytes) -> None:
    # A command may end without reading all of its input; how it ended is what the caller hears.
    with contextlib.suppress(DeviceError):
        channel.write(data, timeout_s=_STDIN_TIMEOUT_S)
        channel.end_input()
