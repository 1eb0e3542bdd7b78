"""Where an SSH device is: its devices.yaml entry over the user's and the system's OpenSSH configuration."""

from __future__ import annotations

import getpass
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow.errors import UsageError

if TYPE_CHECKING:
    from edgeflow.config.devices import DeviceSpec

_SYSTEM_DIR = Path("/etc/ssh")
_CONNECT_TIMEOUT_S = 10.0
_KEEPALIVE_S = 3.0
_MAX_INCLUDES = 16
_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
_KEYWORD = re.compile(r"^\s*(include|host|match)(?:\s*=\s*|\s+)(.+?)\s*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SshTarget:
    """One machine to log in to.

    `alias` is what the user calls it, `host` what is dialled. `identity_files` are tried in order;
    `explicit_identities` tells whether the user named them. `jumps` are the hops before it, first hop first.
    """

    alias: str
    host: str
    port: int
    user: str
    identity_files: tuple[Path, ...]
    explicit_identities: bool
    identities_only: bool
    known_hosts: tuple[Path, ...]
    host_key_alias: str | None
    connect_timeout_s: float
    keepalive_s: float
    jumps: tuple[SshTarget, ...]
    proxy_command: str | None

    @property
    def host_id(self) -> str:
        """The name that known_hosts has for it."""
        if self.host_key_alias:
            return self.host_key_alias
        return self.host if self.port == 22 else f"[{self.host}]:{self.port}"

    @property
    def command_line(self) -> str:
        """The ssh command that a person would type to get there, for hints."""
        words = ["ssh"]
        if self.port != 22:
            words += ["-p", str(self.port)]
        return " ".join([*words, f"{self.user}@{self.alias}"])


def resolve_target(spec: DeviceSpec) -> SshTarget:
    """The target of a device's entry; what devices.yaml says wins over ~/.ssh/config and /etc/ssh/ssh_config.

    Raises UsageError for a configuration that cannot be read or understood.
    """
    own = {
        "User": spec.user,
        "Port": spec.port,
        "IdentityFile": spec.key,
        "UserKnownHostsFile": spec.known_hosts,
    }
    return _resolve(spec.address or "", own, ())


def _resolve(alias: str, own: Mapping[str, object], before: tuple[str, ...]) -> SshTarget:
    if alias in before:
        raise UsageError(f"~/.ssh/config: ProxyJump goes round in a circle: {' -> '.join((*before, alias))}")
    options = _lookup(alias, own)
    identities = [Path(name).expanduser() for name in options.get("identityfile", ())]
    explicit = [path for path in identities if str(path).lower() != "none"]
    ssh_dir = Path("~/.ssh").expanduser()
    known = options.get("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2").split()
    known += options.get("globalknownhostsfile", "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2").split()
    keepalive_s = _number(options, "serveraliveinterval", 0.0)
    return SshTarget(
        alias=alias,
        host=options["hostname"],
        port=int(_number(options, "port", 22)),
        user=options.get("user") or getpass.getuser(),
        identity_files=tuple(explicit if identities else [ssh_dir / name for name in _DEFAULT_KEYS]),
        explicit_identities=bool(explicit),
        identities_only=options.get("identitiesonly", "no").lower() == "yes",
        known_hosts=tuple(Path(name.replace("%d", "~")).expanduser() for name in known),
        host_key_alias=options.get("hostkeyalias"),
        connect_timeout_s=_number(options, "connecttimeout", _CONNECT_TIMEOUT_S) or _CONNECT_TIMEOUT_S,
        keepalive_s=min(keepalive_s or _KEEPALIVE_S, _KEEPALIVE_S),
        jumps=_hops(options.get("proxyjump"), (*before, alias)),
        proxy_command=options.get("proxycommand"),
    )


def _hops(value: str | None, before: tuple[str, ...]) -> tuple[SshTarget, ...]:
    """The hops of a ProxyJump value; only the first one's own ProxyJump counts, as in OpenSSH."""
    if value is None or value.lower() == "none":
        return ()
    hops: list[SshTarget] = []
    for index, text in enumerate(value.split(",")):
        user, _, place = text.strip().removeprefix("ssh://").rpartition("@")
        host, port = _split_port(place)
        hop = _resolve(host, {"User": user or None, "Port": port}, before)
        hops += [*(hop.jumps if index == 0 else ()), hop]
    return tuple(hops)


def _split_port(place: str) -> tuple[str, str | None]:
    if place.startswith("["):
        host, _, rest = place[1:].partition("]")
        return host, rest.removeprefix(":") or None
    host, colon, port = place.partition(":")
    return (place, None) if ":" in port else (host, port if colon else None)


def _lookup(alias: str, own: Mapping[str, object]) -> Mapping[str, Any]:
    """OpenSSH's options for `alias`, keys in lower case; the first value found wins, so `own` comes first."""
    import paramiko

    lines = ["Host *", *(f'{key} "{value}"' for key, value in own.items() if value is not None)]
    user_dir = Path("~/.ssh").expanduser()
    for folder, name in ((user_dir, "config"), (_SYSTEM_DIR, "ssh_config")):
        if (folder / name).is_file():
            lines += ["Host *", *_with_includes(folder / name, folder, 0)]
    try:
        options: Mapping[str, Any] = paramiko.SSHConfig.from_text("\n".join(lines)).lookup(alias)
    except (paramiko.ConfigParseError, paramiko.CouldNotCanonicalize, ImportError, ValueError) as error:
        raise UsageError(
            f"~/.ssh/config: {error}, in the configuration for '{alias}'",
            hint=f"see what ssh makes of it: ssh -G {alias}",
        ) from error
    return options


def _with_includes(path: Path, folder: Path, depth: int) -> list[str]:
    """The lines of a configuration with what it includes in place, which paramiko does not do itself.

    An Include under a condition would need nested conditions: refused, never half obeyed.
    """
    if depth > _MAX_INCLUDES:
        raise UsageError(f"{path}: Include nested more than {_MAX_INCLUDES} deep")
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}, cannot read the SSH configuration") from error
    lines: list[str] = []
    block = "Host *"
    for number, line in enumerate(text.splitlines(), 1):
        found = _KEYWORD.match(line)
        if found is None:
            lines.append(line)
        elif found[1].lower() != "include":
            block = line
            lines.append(line)
        elif not re.fullmatch(r"\s*(host[\s=]+\*|match[\s=]+all)\s*", block, re.IGNORECASE):
            raise UsageError(
                f"{path}:{number}: Include inside '{block.strip()}' is not supported",
                hint="move the Include line above the first Host line",
            )
        else:
            for pattern in found[2].replace('"', "").split():
                # A pattern may be absolute, which Path.glob does not take.
                where = folder / Path(pattern).expanduser()
                for included in sorted(Path(where.anchor).glob(str(where.relative_to(where.anchor)))):
                    lines += [*_with_includes(included, folder, depth + 1), "Host *"]
            lines.append(block)
    return lines


def _number(options: Mapping[str, Any], key: str, default: float) -> float:
    text = options.get(key)
    if text is None:
        return default
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"~/.ssh/config: {key} is '{text}', expected a number") from None
