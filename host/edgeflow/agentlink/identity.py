"""Who this host is to an agent: a secret token that is its own, and a name for people."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

from edgeflow.errors import UsageError

_TOKEN_BYTES = 16


@dataclass(frozen=True, slots=True)
class HostIdentity:
    """`token` lets this host take up its own jobs again; `name` is what "busy: by whom" shows to others."""

    token: str
    name: str


def host_identity(home: Path) -> HostIdentity:
    """This host's identity; the token is made once and kept in `home`, readable by its owner alone.

    Raises UsageError when `home` cannot be written.
    """
    path = home / "host_token"
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _create(path)
        token = path.read_text().strip()
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror or error}", hint="set EDGEFLOW_HOME to a folder that you can write to"
        ) from error
    if not token:
        raise UsageError(f"{path} is empty", hint="delete it: the next command makes a new one")
    return HostIdentity(token, f"{_user()}@{socket.gethostname()}")


def _create(path: Path) -> None:
    """Writes a new token; of processes and threads that race here, the first one's token stands."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(_TOKEN_BYTES))
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
