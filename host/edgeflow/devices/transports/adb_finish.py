"""What ends a push on an Android device: check, make durable, rename. A shell that waits there does it."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath

from edgeflow.devices.transports.adb_link import AdbLink, LinkLost
from edgeflow.devices.transports.adb_wire import PacketId, ShellDecoder, shell_packet

_OPEN_S = 15.0
_FINISH_S = 120.0
_RECEIVE_BYTES = 64 << 10

# Takes one command a line: finish PART TARGET SHA256 (or "-"). Answers with one line: "ok", or "no" and why.
# Starts as few processes as it can: on a phone that is most of what the end of a push costs.
_SCRIPT = r"""
flush=sync hash=
command -v fsync >/dev/null && flush=fsync
command -v sha256sum >/dev/null && hash=sha256sum
fail() { rm -f "$1"; echo "no $2"; }
finish() {
  if [ -d "$2" ]; then fail "$1" "$2: Is a directory"; return; fi
  if [ "$3" != - ] && [ "$hash" ]; then
    sum=$($hash "$1" 2>&1)
    if [ "${sum%% *}" != "$3" ]; then
      fail "$1" "the bytes that arrived are not those that were sent (SHA-256)"; return
    fi
  fi
  $flush "$1" </dev/null 2>/dev/null || { fail "$1" "cannot be made durable"; return; }
  rename "$1" "$2" 2>/dev/null || words=$(mv -f "$1" "$2" 2>&1) || { fail "$1" "${words##*
}"; return; }
  echo ok
}
while read -r line; do eval "$line"; done
"""
SERVICE = f"shell,v2,raw:{_SCRIPT}"


class Finisher:
    """A shell on the device, kept for the pushes of one transport. Any error leaves it unusable."""

    def __init__(self, link: AdbLink) -> None:
        """`link` is that of SERVICE, which adbd need not have answered yet."""
        self._link = link
        self._decoder = ShellDecoder()
        self._confirmed = False

    @property
    def idle(self) -> bool:
        """Whether it still waits for work: nothing came from it, neither words nor its end."""
        return not self._link.has_data() if self._confirmed else True

    def finish(self, part: PurePosixPath, target: PurePosixPath, checksum: str) -> str:
        """Gives the part its name once it is checked and durable. Returns what is wrong; "" is success.

        What is wrong has removed the part. Raises Refused, LinkLost, DeviceTimeout.
        """
        if not self._confirmed:
            self._link.confirm(SERVICE, _OPEN_S)
            self._confirmed = True
        command = f"finish {_quoted(part)} {_quoted(target)} {checksum}\n"
        self._link.send(shell_packet(PacketId.stdin, command.encode()), _FINISH_S)
        answer, words = b"", b""
        while not answer.endswith(b"\n"):
            data = self._link.receive(_RECEIVE_BYTES, _FINISH_S)
            if not data:
                raise LinkLost("the connection ended before the file had its name")
            for kind, body in self._decoder.feed(data):
                if kind == PacketId.exit:
                    raise LinkLost(f"the device's shell ended: {words.decode('utf-8', 'replace').strip()}")
                if kind == PacketId.stdout:
                    answer += body
                else:
                    words += body
        text = answer.decode("utf-8", "replace").strip()
        return "" if text == "ok" else text.removeprefix("no ") or "no reason given"

    def close(self) -> None:
        """Ends the shell: its input ends with the connection."""
        self._link.close()


def _quoted(path: PurePosixPath) -> str:
    """One word of a line, whatever is in it."""
    return shlex.quote(str(path)).replace("\n", "'$'\\n''")
