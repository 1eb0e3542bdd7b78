"""known_hosts: whether a host key may be trusted. Pure; the format is that of sshd(8), SSH_KNOWN_HOSTS."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path

from edgeflow.errors import DeviceError


@dataclass(frozen=True, slots=True)
class KnownHost:
    """One line: host patterns (or one hash), and a key. `marker` is "", "@revoked" or "@cert-authority"."""

    path: Path
    line: int
    marker: str
    patterns: tuple[str, ...]
    key_type: str
    blob: bytes

    @property
    def where(self) -> str:
        return f"{self.path}:{self.line}"

    def names(self, host_id: str) -> bool:
        """Whether this line is about `host_id` ("host" or "[host]:port")."""
        found = False
        for pattern in self.patterns:
            if pattern.startswith("|1|"):
                found = found or _hash_matches(pattern, host_id)
            elif pattern.startswith("!"):
                if _pattern_matches(pattern[1:], host_id):
                    return False
            else:
                found = found or _pattern_matches(pattern, host_id)
        return found


class Trust(Enum):
    """What known_hosts says of a key."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on a key, and the line that decided it, where one did."""

    trust: Trust
    entry: KnownHost | None = None


def fingerprint(blob: bytes) -> str:
    """The key's fingerprint as ssh prints it: SHA256 in base64 without padding."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def load_known_hosts(paths: Iterable[Path]) -> list[KnownHost]:
    """The lines of those files that exist; a line that is no entry is passed over, as ssh does.

    Raises DeviceError for a file that is there and cannot be read: trust must not depend on that.
    """
    entries: list[KnownHost] = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise DeviceError(
                f"cannot read {path}: {error.strerror}, so no host key can be trusted"
            ) from error
        entries += parse_known_hosts(text, path)
    return entries


def parse_known_hosts(text: str, path: Path) -> list[KnownHost]:
    """The entries of a known_hosts text; `path` is only for messages."""
    entries: list[KnownHost] = []
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
        if len(fields) < 3 or fields[0].startswith("#"):
            continue
        try:
            blob = base64.b64decode(fields[2], validate=True)
        except binascii.Error:
            continue
        entries.append(KnownHost(path, number, marker, tuple(fields[0].split(",")), fields[1], blob))
    return entries


def judge(entries: Sequence[KnownHost], host_ids: Sequence[str], blob: bytes) -> Judgement:
    """Whether the key `blob` is that of the host.

    The first of `host_ids` that has any entry decides; the others may only confirm a key (ssh too looks for
    the name without its port). Any other key of the host makes it CHANGED, of whatever type: the key types
    that are known are asked for first, so a server that shows another one lost the old one.
    Certificate authorities are not followed: their hosts are UNKNOWN unless listed themselves.
    """
    for entry in entries:
        if entry.marker == "@revoked" and entry.blob == blob and any(entry.names(name) for name in host_ids):
            return Judgement(Trust.REVOKED, entry)
    for index, name in enumerate(host_ids):
        known = [entry for entry in entries if not entry.marker and entry.names(name)]
        for entry in known:
            if entry.blob == blob:
                return Judgement(Trust.KNOWN, entry)
        if known and index == 0:
            return Judgement(Trust.CHANGED, known[0])
    return Judgement(Trust.UNKNOWN)


def known_key_types(entries: Sequence[KnownHost], host_ids: Sequence[str]) -> list[str]:
    """The key types that the host has entries for, in the file's order."""
    found = [
        entry.key_type
        for entry in entries
        if not entry.marker and any(entry.names(name) for name in host_ids)
    ]
    return list(dict.fromkeys(found))


def _pattern_matches(pattern: str, host_id: str) -> bool:
    # ssh's patterns know * and ? only, while fnmatch would read "[host]" as a set of characters.
    return fnmatchcase(host_id.lower(), pattern.lower().replace("[", "[[]"))


def _hash_matches(pattern: str, host_id: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in pattern[3:].split("|"))
    except (ValueError, binascii.Error):
        return False
    return hmac.compare_digest(hmac.new(salt, host_id.encode(), hashlib.sha1).digest(), digest)
