"""Command lines that every login shell passes on unharmed, and output that its noise cannot spoil. Pure.

sshd hands a command to the user's login shell, which may be fish, csh or anything else, and whose start-up
files may print. So the real script travels as one single-quoted word in which whatever a shell could take up
is written as an octal escape for `printf %b`; and it prints a random marker before its command starts.
"""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import Sequence

from edgeflow.errors import UsageError

# Plain in a single-quoted word of POSIX shells, fish and csh alike: no quote, backslash, "!" or control code.
_PLAIN = frozenset(range(0x20, 0x7F)) - frozenset(b"'\\!")
_BOOT = 'eval "$(printf %b "$1")"'

# $$ leads a process group under OpenSSH. Behind a wrapper it may not, and then setsid makes it lead one,
# so that killing the group ends what we started and nothing else. qemu-user tells no group (0): there setsid
# would fork and lose the exit code.
_PROLOGUE = f"""\
ef_g=$$
{{ read -r ef_a ef_a ef_a ef_a ef_g ef_a </proc/$$/stat; }} 2>/dev/null
if [ "$ef_g" != 0 ] && [ "$ef_g" != $$ ] && [ $# = 1 ] && command -v setsid >/dev/null 2>&1; then
  exec setsid sh -c '{_BOOT}' sh "$1" again
fi
cd /
"""
_START = """\
ef_p=1
command -v "$1" >/dev/null 2>&1 || ef_p=0
printf '%s %s %s\\n' $ef_m $$ $ef_p
printf '%s\\n' $ef_m >&2
( exec "$@" )
exit $?
"""


def new_marker() -> str:
    """A line beginning that nothing else prints."""
    return f"edgeflow-{secrets.token_hex(12)}"


def framed_command(argv: Sequence[str], marker: str) -> str:
    """The command line that runs `argv` on the device, in `/`, as the leader of a process group.

    Its stdout begins, after any noise, with "MARKER PID FOUND" (FOUND is 1 where the program exists), its
    stderr with "MARKER"; its exit code is that of a shell: 127, 126, 128 + N. Raises UsageError for a NUL.
    """
    if any("\0" in word for word in argv):
        raise UsageError("an argument of a command cannot hold a NUL character")
    return _booted(f"{_PROLOGUE}ef_m={marker}\nset -- {shlex.join(argv)}\n{_START}")


def kill_command(pid: int) -> str:
    """The command line that kills the process group that `pid` leads, else that process alone."""
    return _booted(f"kill -s KILL -- -{pid} 2>/dev/null || kill -s KILL {pid}")


def _booted(script: str) -> str:
    return f"exec sh -c '{_BOOT}' sh '{_escaped(os.fsencode(script))}'"


def _escaped(script: bytes) -> str:
    return "".join(chr(byte) if byte in _PLAIN else f"\\0{byte:03o}" for byte in script)
