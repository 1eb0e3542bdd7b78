"""The hosts that the user's ssh knows, from its configuration and known_hosts. Contacts none of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_CODE_HOSTS = ("github.", "gitlab.", "bitbucket.", "codeberg.", "git.")


@dataclass(frozen=True, slots=True)
class SshHost:
    """A host as `ssh ADDRESS` takes it. `port` is "" where the configuration or ssh itself decides."""

    address: str
    source: str
    port: str = ""


def ssh_hosts(folder: Path) -> list[SshHost]:
    """The hosts that `folder`/config names, then those of known_hosts that it does not.

    Left out: hashed names, which are unreadable by intent, patterns, and places that only keep code.
    """
    named: dict[str, set[str]] = {}
    for path in _with_includes(folder / "config", folder, depth=0):
        _read_config(path, named)
    real_names = {address for addresses in named.values() for address in addresses}
    found = [SshHost(alias, "~/.ssh/config") for alias in named]
    for host, port in _known_hosts(folder / "known_hosts"):
        if host not in named and host not in real_names:
            found.append(SshHost(host, "~/.ssh/known_hosts", port))
    return [host for host in found if not _keeps_code(host.address, named)]


def _with_includes(path: Path, folder: Path, *, depth: int) -> list[Path]:
    """A configuration file of ssh and the files that it includes, in order (ssh_config(5), Include)."""
    if depth > 16 or not path.is_file():
        return []
    files = [path]
    for words in _directives(path, "include"):
        for pattern in words:
            base = Path(pattern).expanduser()
            parent, name = (base.parent, base.name) if base.is_absolute() else (folder, pattern)
            for included in sorted(parent.glob(name)):
                files += _with_includes(included, folder, depth=depth + 1)
    return files


def _read_config(path: Path, named: dict[str, set[str]]) -> None:
    current: list[str] = []
    for line in path.read_text("utf-8", "replace").splitlines():
        words = _words(line)
        if not words:
            continue
        if words[0].lower() in ("host", "match"):
            plain = [word for word in words[1:] if not set(word) & set("*?!")]
            current = plain if words[0].lower() == "host" else []
            for alias in current:
                named.setdefault(alias, set())
        elif words[0].lower() == "hostname" and len(words) > 1:
            for alias in current:
                named[alias].add(words[1].replace("%h", alias))


def _directives(path: Path, name: str) -> list[list[str]]:
    lines = (_words(line) for line in path.read_text("utf-8", "replace").splitlines())
    return [words[1:] for words in lines if words and words[0].lower() == name]


def _words(line: str) -> list[str]:
    """Keyword and arguments of a line of ssh's configuration; "Key=value" is allowed there too."""
    text = line.strip()
    if not text or text.startswith("#"):
        return []
    keyword, *rest = re.split(r"\s*=\s*|\s+", text, maxsplit=1)
    return [keyword, *(word.strip('"') for word in " ".join(rest).split())]


def _known_hosts(path: Path) -> list[tuple[str, str]]:
    """(host, port or "") of the readable lines of known_hosts (sshd(8)), each host once."""
    if not path.is_file():
        return []
    found: dict[str, str] = {}
    for line in path.read_text("utf-8", "replace").splitlines():
        fields = line.split()
        if len(fields) < 3 or fields[0][0] in "#|@":
            continue
        first = fields[0].split(",")[0]
        bracketed = re.fullmatch(r"\[(.+)\]:(\d+)", first)
        host, port = (bracketed[1], bracketed[2]) if bracketed else (first, "")
        if not set(host) & set("*?!"):
            found.setdefault(host, port)
    return list(found.items())


def _keeps_code(host: str, named: Mapping[str, set[str]]) -> bool:
    return any(name.startswith(_CODE_HOSTS) for name in {host, *named.get(host, ())})
