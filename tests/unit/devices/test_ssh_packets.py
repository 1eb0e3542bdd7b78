"""What paramiko may send on a channel that it has closed: nothing, or OpenSSH drops the connection."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import paramiko
import pytest
from paramiko.packet import Packetizer

from edgeflow.devices.transports.ssh_packets import ordered_packetizer

CONFIRMATION, DATA, EOF, CLOSE, GLOBAL_REQUEST = 91, 94, 96, 97, 80


@pytest.fixture
def ends() -> Iterator[tuple[Any, Any]]:
    """Our packetizer and, at the other end of a socket, paramiko's own."""
    near, far = socket.socketpair()
    for each in (near, far):
        each.settimeout(5)
    yield ordered_packetizer()(near), Packetizer(far)
    near.close()
    far.close()


def message(kind: int, *numbers: int) -> paramiko.Message:
    made = paramiko.Message()
    made.add_byte(bytes([kind]))
    for number in numbers:
        made.add_int(number)
    return made


def test_nothing_follows_a_close_until_the_number_is_given_anew(ends: tuple[Any, Any]) -> None:
    ours, peer = ends
    for kind in (DATA, CLOSE, EOF, DATA, CLOSE):
        ours.send_message(message(kind, 5))
    ours.send_message(message(EOF, 6))
    ours.send_message(message(GLOBAL_REQUEST, 5))
    assert [peer.read_message()[0] for _ in range(4)] == [DATA, CLOSE, EOF, GLOBAL_REQUEST]

    peer.send_message(message(CONFIRMATION, 1, 5, 0, 0))
    kind, confirmation = ours.read_message()
    assert (kind, confirmation.get_int(), confirmation.get_int()) == (CONFIRMATION, 1, 5)
    ours.send_message(message(DATA, 5))
    assert peer.read_message()[0] == DATA
