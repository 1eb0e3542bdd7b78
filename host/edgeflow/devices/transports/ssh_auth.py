"""Logging in over SSH by key: key files, the agent, and an error that tells what was tried."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow.errors import DeviceError

if TYPE_CHECKING:
    from edgeflow.devices.transports.ssh_target import SshTarget

_AUTH_TIMEOUT_S = 30.0


def authenticate(connection: Any, target: SshTarget, device: str) -> None:
    """Logs `target.user` in on a paramiko.Transport whose host key is trusted already.

    Tries no key, then the identity files, then the agent's keys (only those that belong to an identity file
    under IdentitiesOnly); never a password. Raises DeviceError naming every key that was tried.
    """
    import paramiko

    connection.auth_timeout = _AUTH_TIMEOUT_S
    tried: list[str] = []
    allowed: list[str] = []
    keys = _Keys(target)
    try:
        try:
            connection.auth_none(target.user)
            return
        except paramiko.BadAuthenticationType as refusal:
            allowed = list(refusal.allowed_types)
        if "publickey" not in allowed:
            raise _failed(target, device, tried, keys, allowed)
        for label, key in keys:
            tried.append(label)
            try:
                missing = connection.auth_publickey(target.user, key)
            except paramiko.BadAuthenticationType as refusal:
                allowed = list(refusal.allowed_types)
                continue
            except paramiko.AuthenticationException as error:
                if not connection.is_active():
                    # "Too many authentication failures" ends the connection: MaxAuthTries of sshd.
                    raise DeviceError(
                        f"{device}: {target.user}@{target.host} takes no more keys after {_list(tried)}",
                        hint=f"name the right one: `key:` of {device} in devices.yaml",
                        detail=str(error),
                    ) from error
                continue
            if missing:
                raise DeviceError(
                    f"{device}: {target.user}@{target.host} wants {' and '.join(missing)} beside a key",
                    hint="edgeflow logs in by key alone; give it a user for whom that is enough",
                )
            return
        raise _failed(target, device, tried, keys, allowed)
    finally:
        keys.close()


class _Keys:
    """The keys to try, each with what to call it; remembers those that could not be used and why."""

    def __init__(self, target: SshTarget) -> None:
        self._target = target
        self._agent: Any = None
        self.encrypted: list[Path] = []
        self.broken: list[str] = []
        self.agent_keys = 0

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        files = [path for path in self._target.identity_files if path.exists()]
        if self._target.explicit_identities:
            self.broken += [
                f"{path} does not exist" for path in self._target.identity_files if not path.exists()
            ]
        agent_keys = self._from_agent()
        public_keys = {blob for path in files if (blob := _public_blob(path)) is not None}
        preferred = [key for key in agent_keys if key.asbytes() in public_keys]
        # A key file that the agent holds is tried through the agent: it may be encrypted.
        for key in preferred:
            yield f"agent key {key.comment or key.get_name()}", key
        held = {key.asbytes() for key in preferred}
        for path in files:
            if _public_blob(path) not in held and (loaded := self._load(path)) is not None:
                yield str(path), loaded
        if not self._target.identities_only:
            for key in agent_keys:
                if key.asbytes() not in held:
                    yield f"agent key {key.comment or key.get_name()}", key

    def close(self) -> None:
        if self._agent is not None:
            self._agent.close()

    def _from_agent(self) -> list[Any]:
        import paramiko

        try:
            self._agent = paramiko.Agent()
            keys = list(self._agent.get_keys())
        except (paramiko.SSHException, OSError) as error:
            self.broken.append(f"the agent does not answer ({error})")
            return []
        self.agent_keys = len(keys)
        return keys

    def _load(self, path: Path) -> Any:
        import paramiko

        try:
            return paramiko.PKey.from_path(path)
        except (paramiko.PasswordRequiredException, TypeError):
            self.encrypted.append(path)
        except OSError as error:
            self.broken.append(f"{path} cannot be read ({error.strerror})")
        except Exception as error:
            # The key loaders raise whatever their parsers do; the key is named, and the next one tried.
            if "encrypted" in str(error).lower() or "passw" in str(error).lower():
                self.encrypted.append(path)
            else:
                self.broken.append(f"{path} is not a key that can be used")
        return None


def _failed(target: SshTarget, device: str, tried: list[str], keys: _Keys, allowed: list[str]) -> DeviceError:
    who = f"{target.user}@{target.host}"
    if allowed and "publickey" not in allowed:
        return DeviceError(
            f"{device}: {who} takes no keys, only {', '.join(allowed)}, and edgeflow asks for no passwords",
            hint="set `PubkeyAuthentication yes` in the device's sshd_config",
        )
    pieces = [f"tried {_list(tried)}" if tried else "there was no key to try"]
    pieces += [f"{path} is encrypted and not in the ssh agent" for path in keys.encrypted]
    pieces += keys.broken
    if keys.encrypted:
        hint = f"ssh-add {keys.encrypted[0]}"
    else:
        copy = target.command_line.replace("ssh ", "ssh-copy-id ", 1)
        hint = f"bring your key to it (`{copy}`), or set `user:` and `key:` of {device} in devices.yaml"
    return DeviceError(f"{device}: {who} refused to log us in: {'; '.join(pieces)}", hint=hint)


def _list(tried: list[str]) -> str:
    return ", ".join(tried) or "none"


def _public_blob(path: Path) -> bytes | None:
    """The public half that ssh-keygen leaves beside a private key, if it is there."""
    try:
        fields = path.with_name(path.name + ".pub").read_text().split()
        return base64.b64decode(fields[1], validate=True)
    except (OSError, UnicodeDecodeError, IndexError, binascii.Error):
        return None
