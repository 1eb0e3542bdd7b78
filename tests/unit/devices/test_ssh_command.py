"""The command lines that sshd gives to a login shell, given to the real shells."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from edgeflow.devices.transports.ssh_command import framed_command, new_marker
from edgeflow.errors import UsageError

WORDS = [
    "",
    "a b",
    "it's",
    "$HOME `id` $(id)",
    '"',
    "\\",
    "\\n%s%%",
    "!x!",
    "*",
    "~",
    "é\udcff",
    "a\n\nb\t",
    "-n",
    "#;&|<>",
]


@pytest.mark.parametrize("shell", ["dash", "bash", "zsh", "ksh", "mksh", "fish", "tcsh", "busybox"])
def test_every_login_shell_passes_every_argument_on_unharmed(shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} on this machine")
    marker = new_marker()
    command = framed_command(["sh", "-c", 'printf "%s\\0" "$@"; exit 3', "sh", *WORDS], marker)
    applet = ["sh"] if shell == "busybox" else []
    done = subprocess.run([program, *applet, "-c", command], capture_output=True, check=False)
    head, _, body = done.stdout.partition(b"\n")
    assert done.returncode == 3, done.stderr
    assert head.split()[0] == marker.encode()
    assert body.split(b"\0")[:-1] == [word.encode("utf-8", "surrogateescape") for word in WORDS]
    assert done.stderr == marker.encode() + b"\n"


def test_exit_codes_are_a_shell_s_and_a_missing_program_is_told(tmp_path: Path) -> None:
    def run(*argv: str) -> tuple[int, bytes]:
        done = subprocess.run(framed_command(argv, "M"), shell=True, capture_output=True, check=False)
        return done.returncode, done.stdout.splitlines()[0].split()[-1]

    assert run("no-such-program") == (127, b"0")
    (tmp_path / "plain").write_text("no program")
    assert run(str(tmp_path / "plain"))[0] == 126
    assert run("sh", "-c", "kill -9 $$") == (137, b"1")


def test_the_environment_of_the_command_is_left_alone() -> None:
    done = subprocess.run(
        framed_command(["sh", "-c", 'echo "$g$m$p$e"'], "M"),
        shell=True,
        env={"PATH": "/usr/bin:/bin", "g": "1", "m": "2", "p": "3", "e": "4"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.splitlines()[1] == b"1234"


def test_a_command_behind_a_wrapper_leads_a_group_of_its_own() -> None:
    if shutil.which("setsid") is None:
        pytest.skip("no setsid on this machine")
    command = framed_command(["sh", "-c", "ps -o pgid= -p $$"], "M")
    # `true;` keeps the outer shell: it leads the group, as a ForceCommand script does.
    wrapped = ["sh", "-c", '(eval "$1"); true', "sh", command]
    done = subprocess.run(wrapped, capture_output=True, check=True, start_new_session=True)
    head, group = done.stdout.split(b"\n")[:2]
    assert int(head.split()[1]) == int(group)


def test_a_nul_is_refused() -> None:
    with pytest.raises(UsageError, match="NUL"):
        framed_command(["echo", "a\0b"], "M")
