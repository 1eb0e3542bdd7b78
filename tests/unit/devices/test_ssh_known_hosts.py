"""known_hosts as ssh-keygen and ssh write it: which keys are trusted, and which line decided."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from edgeflow.devices.transports.ssh_known_hosts import (
    Trust,
    fingerprint,
    judge,
    known_key_types,
    load_known_hosts,
    parse_known_hosts,
)
from edgeflow.errors import DeviceError

FILE = Path("known_hosts")
OLD, NEW, OTHER = b"the old key", b"the new key", b"a key of another kind"


def line(hosts: str, blob: bytes, kind: str = "ssh-ed25519", marker: str = "") -> str:
    return f"{marker} {hosts} {kind} {base64.b64encode(blob).decode()} a comment\n".lstrip()


def hashed(host: str) -> str:
    salt = b"twenty bytes of salt"
    digest = hmac.new(salt, host.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def trust(text: str, blob: bytes, *names: str) -> Trust:
    return judge(parse_known_hosts(text, FILE), names or ("pi",), blob).trust


def test_a_key_is_known_unknown_or_changed_and_the_line_is_named() -> None:
    text = "# made by hand\n\n" + line("other", NEW) + line("pi,10.0.0.7", OLD)
    assert trust(text, OLD) is Trust.KNOWN
    assert trust(text, OLD, "10.0.0.7") is Trust.KNOWN
    assert trust(text, OLD, "10.0.0.8") is Trust.UNKNOWN
    judgement = judge(parse_known_hosts(text, FILE), ["pi"], NEW)
    assert judgement.trust is Trust.CHANGED
    assert judgement.entry is not None
    assert judgement.entry.where == "known_hosts:4"


def test_a_key_of_another_kind_is_no_way_around_the_known_one() -> None:
    text = line("pi", OLD)
    assert trust(text, OTHER) is Trust.CHANGED
    assert trust(text + line("pi", OTHER, "ssh-rsa"), OTHER) is Trust.KNOWN
    entries = parse_known_hosts(text + line("pi", OTHER, "ssh-rsa"), FILE)
    assert known_key_types(entries, ["pi"]) == ["ssh-ed25519", "ssh-rsa"]


def test_ports_hashes_patterns_and_negation() -> None:
    assert trust(line("[pi]:2222", OLD), OLD, "[pi]:2222", "pi") is Trust.KNOWN
    assert trust(line("[pi]:2222", OLD), OLD, "pi") is Trust.UNKNOWN
    assert trust(line(hashed("[pi]:2222"), OLD), OLD, "[pi]:2222") is Trust.KNOWN
    assert trust(line(hashed("pi"), OLD), NEW) is Trust.CHANGED
    assert trust(line("*.lab,!bad.lab", OLD), OLD, "pi.lab") is Trust.KNOWN
    assert trust(line("*.lab,!bad.lab", OLD), OLD, "bad.lab") is Trust.UNKNOWN
    assert trust(line("[pi*]:22??", OLD), OLD, "[pi3]:2222") is Trust.KNOWN
    assert trust(line("PI", OLD), OLD) is Trust.KNOWN


def test_the_name_without_its_port_may_confirm_a_key_but_not_condemn_it() -> None:
    text = line("pi", OLD)
    assert trust(text, OLD, "[pi]:2222", "pi") is Trust.KNOWN
    assert trust(text, NEW, "[pi]:2222", "pi") is Trust.UNKNOWN


def test_markers_and_broken_lines() -> None:
    assert trust(line("pi", OLD) + line("*", OLD, marker="@revoked"), OLD) is Trust.REVOKED
    assert trust(line("*", OLD, marker="@cert-authority"), OLD) is Trust.UNKNOWN
    assert trust("pi ssh-ed25519\npi ssh-ed25519 not/base64!\n|1|x pi\n", OLD) is Trust.UNKNOWN
    assert trust(line("|1|nonsense", OLD), OLD) is Trust.UNKNOWN


@pytest.mark.skipif(os.getuid() == 0, reason="root can read everything")
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "known_hosts").touch(mode=0o000)
    with pytest.raises(DeviceError, match="cannot read"):
        load_known_hosts([tmp_path / "known_hosts"])


def test_files_that_are_not_there_know_nobody(tmp_path: Path) -> None:
    assert load_known_hosts([tmp_path / "none", Path("/dev/null"), Path("/dev/null/none")]) == []


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")
def test_ssh_keygen_agrees_on_hashes_and_fingerprints(tmp_path: Path) -> None:
    def keygen(*words: str) -> str:
        return subprocess.run(
            ["ssh-keygen", *words], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout

    keygen("-q", "-t", "ed25519", "-N", "", "-f", "key")
    kind, encoded = (tmp_path / "key.pub").read_text().split()[:2]
    (tmp_path / "known_hosts").write_text(f"pi,[pi]:2222 {kind} {encoded}\n")
    keygen("-H", "-f", "known_hosts")
    text = (tmp_path / "known_hosts").read_text()
    assert "pi" not in text.split()[0]
    blob = base64.b64decode(encoded)
    assert trust(text, blob) is Trust.KNOWN
    assert trust(text, blob, "[pi]:2222") is Trust.KNOWN
    assert fingerprint(blob) in keygen("-l", "-f", "key.pub")
