"""Dialling: from a target to a logged-in link, through its hops; each way to fail has its error and cure."""

from __future__ import annotations

import errno
import logging
import os
import socket
import subprocess
from typing import Any

from edgeflow.devices.transports.ssh_auth import authenticate
from edgeflow.devices.transports.ssh_known_hosts import (
    Trust,
    fingerprint,
    judge,
    known_key_types,
    load_known_hosts,
)
from edgeflow.devices.transports.ssh_link import CountingSocket, SshLink
from edgeflow.devices.transports.ssh_packets import ordered_packetizer
from edgeflow.devices.transports.ssh_target import SshTarget
from edgeflow.errors import DeviceError

_HANDSHAKE_TIMEOUT_S = 30.0
_USER_TIMEOUT_MS = 10_000
# What is queued here delays the answer to a keep-alive, and it is what a dead link swallows.
_SEND_BUFFER_BYTES = 256 << 10
_WINDOW_BYTES = 8 << 20
_RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256")


def connect(target: SshTarget, device: str) -> SshLink:
    """A link to `target`, through its jumps. Nothing is sent to a server whose host key is not trusted.

    Raises DeviceError naming what failed and its cure.
    """
    # Without a handler of its own, logging prints paramiko's tracebacks to our standard error.
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    link: SshLink | None = None
    try:
        for hop in (*target.jumps, target):
            link = _connect_hop(hop, device, link)
    except BaseException:
        if link is not None:
            link.close()
        raise
    assert link is not None
    return link


def _connect_hop(target: SshTarget, device: str, via: SshLink | None) -> SshLink:
    import paramiko

    if via is not None:
        wire = CountingSocket(via.open_tunnel(target.host, target.port))
    elif target.proxy_command is not None:
        wire = _proxy(target.proxy_command, device)
    else:
        wire = CountingSocket(_dial(target, device))
    connection: Any = None
    try:
        connection = paramiko.Transport(
            wire, default_window_size=_WINDOW_BYTES, packetizer_class=ordered_packetizer()
        )
        _handshake(connection, target, device)
        _check_host_key(connection, target, device)
        try:
            authenticate(connection, target, device)
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise DeviceError(
                f"{device}: {target.user}@{target.host} broke off the login: {error}",
                hint="see its log: journalctl -u ssh",
            ) from error
        return SshLink(connection, wire, device, target.keepalive_s, via)
    except BaseException:
        if connection is not None:
            connection.close()
        wire.close()
        raise


def _dial(target: SshTarget, device: str) -> socket.socket:
    place = f"{target.host} port {target.port}"
    try:
        addresses = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise DeviceError(
            f"{device}: the name {target.host} does not resolve: {error}",
            hint=f"set `address:` of {device} to its IP address, or HostName in ~/.ssh/config",
        ) from error
    failure: OSError | None = None
    for family, kind, protocol, _, address in addresses:
        dialled = socket.socket(family, kind, protocol)
        try:
            dialled.settimeout(target.connect_timeout_s)
            dialled.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)
            dialled.connect(address)
            return dialled
        except OSError as error:
            failure = error
            dialled.close()
        except BaseException:
            dialled.close()
            raise
    assert failure is not None
    raise DeviceError(f"{device}: {place}: {_why(failure, target)}", hint=_cure(failure, device)) from failure


def _why(error: OSError, target: SshTarget) -> str:
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return f"no answer within {target.connect_timeout_s:g} s"
    return {
        errno.ECONNREFUSED: "the connection was refused: no SSH server listens there",
        errno.EHOSTUNREACH: "no route to it",
        errno.ENETUNREACH: "no route to its network",
    }.get(error.errno or 0, error.strerror or str(error))


def _cure(error: OSError, device: str) -> str:
    if error.errno == errno.ECONNREFUSED:
        return f"start sshd on the device (sudo systemctl enable --now ssh), or set `port:` of {device}"
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return "see that this machine is on the device's network (ip route get ADDRESS), or use ProxyJump"
    return f"see that the device is on and that its address is right (`address:` of {device}); try: ping"


def _proxy(command: str, device: str) -> CountingSocket:
    """The near end of a ProxyCommand, which like ssh's is run by the user's shell."""
    ours, theirs = socket.socketpair()
    shell = os.environ.get("SHELL") or "/bin/sh"
    try:
        process = subprocess.Popen(
            [shell, "-c", f"exec {command}"],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        ours.close()
        raise DeviceError(f"{device}: cannot start its ProxyCommand by {shell}: {error.strerror}") from error
    finally:
        theirs.close()
    return CountingSocket(ours, process)


def _handshake(connection: Any, target: SshTarget, device: str) -> None:
    import paramiko

    options = connection.get_security_options()
    # AES-GCM needs no separate MAC: twice as fast here. CBC and 3DES are of the past.
    options.ciphers = tuple(
        sorted((name for name in options.ciphers if "cbc" not in name), key=lambda name: "gcm" not in name)
    )
    known = known_key_types(load_known_hosts(target.known_hosts), _host_ids(target))
    accepted = {name for kind in known for name in (_RSA_SIGNATURES if kind == "ssh-rsa" else (kind,))}
    # Ask for the kind of key that is known, or a server with several would show another.
    options.key_types = tuple(sorted(options.key_types, key=lambda name: name not in accepted))
    connection.banner_timeout = connection.handshake_timeout = _HANDSHAKE_TIMEOUT_S
    place = f"{target.host} port {target.port}"
    try:
        connection.start_client(timeout=_HANDSHAKE_TIMEOUT_S)
        connection.get_remote_server_key()  # start_client says nothing when its time is over; this does
    except paramiko.ssh_exception.IncompatiblePeer as error:
        raise DeviceError(
            f"{device}: {place} knows none of our algorithms: {error}", hint="update its SSH server"
        ) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        how = f"ProxyCommand `{target.proxy_command}`" if target.proxy_command else place
        raise DeviceError(
            f"{device}: {how} took the connection but did not speak SSH: {str(error) or 'it closed at once'}",
            hint=f"see whether that is an SSH server, and not too busy: {target.command_line}",
        ) from error


def _host_ids(target: SshTarget) -> list[str]:
    """The names that known_hosts may have; the name without port may confirm a key, as with ssh."""
    if target.host_key_alias or target.port == 22:
        return [target.host_id]
    return [target.host_id, target.host]


def _check_host_key(connection: Any, target: SshTarget, device: str) -> None:
    key = connection.get_remote_server_key()
    blob, kind = key.asbytes(), key.get_name()
    judgement = judge(load_known_hosts(target.known_hosts), _host_ids(target), blob)
    if judgement.trust is Trust.KNOWN:
        return
    shown = f"{kind} {fingerprint(blob)}"
    entry = judgement.entry
    if entry is None:
        scan = ""
        if not target.jumps and target.proxy_command is None and not target.host_key_alias:
            scan = (
                f" or `ssh-keyscan -p {target.port} -t {kind.removeprefix('ssh-').partition('-')[0]} "
                f"{target.host} >> {target.known_hosts[0]}`"
            )
        raise DeviceError(
            f"{device}: the host key of {target.host_id} is not known: {shown}",
            hint=f"if that is the device's own fingerprint, accept it: `{target.command_line}` once{scan}",
        )
    if judgement.trust is Trust.REVOKED:
        raise DeviceError(
            f"{device}: the host key of {target.host_id} is revoked in {entry.where}: {shown}",
            hint="do not use this machine; ask who revoked its key",
        )
    raise DeviceError(
        f"{device}: the host key of {target.host_id} changed: it is {shown}, but {entry.where} has "
        f"{entry.key_type} {fingerprint(entry.blob)}",
        hint="somebody may sit in between; if the device was set up anew, remove the old key: "
        f"ssh-keygen -f {entry.path} -R '{target.host_id}'",
    )
